package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

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

// silent drops what the Redis client would print.
type silent struct{}

// Printf does nothing.
func (silent) Printf(context.Context, string, ...any) {}

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
