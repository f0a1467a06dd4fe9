package main

import (
	"context"
	"errors"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/check"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

// checkCommand finds what would fail later.
func checkCommand() *cobra.Command {
	o := wire.CheckOptions{Getenv: os.LookupEnv, Logger: slog.New(slog.DiscardHandler)}
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Find what would fail later: in files, servers and targets",
		Long: `Look at the configuration, PostgreSQL, Redis, the targets, and each mapping against its
table and what its target says of the object, and say what works, what to look at and
what to mend, with the statement or setting that does. Nothing is changed anywhere.

The exit status is 1 if there is something to mend. See docs/check.md.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Save && o.Offline {
				return &usageError{errors.New("--save and --offline: what is saved comes from the servers; keep one of the two")}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), inspectTimeout)
			defer cancel()
			r := check.Run(wire.Check(ctx, o))
			var err error
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), r)
			} else {
				err = r.Write(cmd.OutOrStdout())
			}
			if err == nil && r.Fail > 0 {
				err = errProblems
			}
			return err
		},
	}
	c.Flags().StringVarP(&o.File, "config", "c", "walbridge.yaml", "the configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&o.Offline, "offline", false, "ask no server: check mapping files against catalog.json")
	c.Flags().BoolVar(&o.Save, "save", false, "write what tables and targets are like to catalog.json beside the configuration")
	return c
}
