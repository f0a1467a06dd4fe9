// Command walbridge carries committed changes of a PostgreSQL database to CRM,
// forecast and commission systems; see README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(run(os.Args[1:])) }

// run does what the arguments say and gives the exit status. The first signal
// asks for an orderly end, the second ends at once.
func run(args []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		fmt.Fprintln(os.Stderr, "walbridge: stopped at once by a second signal")
		os.Exit(130)
	}()
	root := rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "walbridge: "+describe(err))
	var usage *usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "walbridge",
		Short: "Carry changes of a PostgreSQL database to CRM, forecast and commission systems",
		Long: `walbridge runs beside an existing PostgreSQL database, reads its write-ahead log,
keeps every committed change as an event on Redis Streams, and delivers coalesced
updates to the systems that mapping files name. Try it: walbridge demo`,
		SilenceUsage:  true,
		SilenceErrors: true,
		// How many letters may be wrong for a command to be meant.
		SuggestionsMinimumDistance: 2,
		Args:                       noArgs,
		RunE:                       func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	root.AddCommand(demoCommand(), runCommand(), captureCommand(), deliverCommand(), sandboxCommand(), versionCommand())
	return root
}

// noArgs is for commands that take none but their own sub-commands.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "see " + c.CommandPath() + " --help"
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + near[0] + "? " + hint
	}
	if c.HasAvailableSubCommands() {
		return &usageError{fmt.Errorf("unknown command %q; %s", args[0], hint)}
	}
	return &usageError{fmt.Errorf("%s takes no argument, not %q; %s", c.CommandPath(), args[0], hint)}
}

// usageError is a mistake in the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// describe gives the fullest text that an error has for people: mistakes in
// files come with the place and the line.
func describe(err error) string {
	var d interface{ Detail() string }
	if errors.As(err, &d) {
		return d.Detail()
	}
	return err.Error()
}
