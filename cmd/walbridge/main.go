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

	"github.com/redis/go-redis/v9"
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
	redis.SetLogger(silent{}) // what it says is in the errors that it returns too
	root := rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if errors.Is(err, errProblems) {
		return 1 // they are said already
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
	root.AddCommand(demoCommand(), runCommand(), captureCommand(), deliverCommand(), statusCommand(), slotCommand(), targetCommand(), dlqCommand(),
		backfillCommand(), replayCommand(), offsetsCommand(), tailCommand(), peekCommand(), traceCommand(), initCommand(), checkCommand(), planCommand(), verifyCommand(), testCommand(), fmtCommand(), schemaCommand(), presetCommand(), sandboxCommand(), versionCommand())
	return root
}
