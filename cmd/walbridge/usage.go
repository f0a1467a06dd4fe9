package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/mapping/yamldoc"
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

// describe gives the fullest text that an error has for people: mistakes in files come with
// the place and the line. Other errors have a detail too, which is not for here: what a target
// said may quote a row (I14).
func describe(err error) string {
	var (
		all yamldoc.Errors
		one *yamldoc.Error
	)
	switch {
	case errors.As(err, &all):
		return all.Detail()
	case errors.As(err, &one):
		return one.Detail()
	}
	return err.Error()
}
