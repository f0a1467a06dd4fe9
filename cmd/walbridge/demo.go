package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/demo"
)

func demoCommand() *cobra.Command {
	o := demo.Options{Listen: "127.0.0.1:8642", Seed: 1}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole bridge at work on a living sales database",
		Long: `Start a throw-away PostgreSQL and Redis, sandbox targets, a sales team that works
in the database, and the whole bridge; print a live table; and compare source and
targets at the end. The exit status is 0 only if they agree.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Out, o.Version = os.Stdout, version()
			o.TTY = term.IsTerminal(int(os.Stdout.Fd()))
			return demo.Run(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.DurationVar(&o.Duration, "duration", 0*time.Second, "how long the team works, such as 20s; 0 until Ctrl-C")
	f.StringVar(&o.Postgres, "postgres", "", "use this database in place of a throw-away one (makes and drops tables of its own, a slot and a publication)")
	f.StringVar(&o.Redis, "redis", "", "use this Redis in place of a throw-away one")
	f.StringVar(&o.Listen, "listen", o.Listen, "where the console listens; empty for none")
	f.Uint64Var(&o.Seed, "seed", o.Seed, "decides what the team does")
	f.Float64Var(&o.Rate, "rate", 60, "transactions a second")
	return c
}
