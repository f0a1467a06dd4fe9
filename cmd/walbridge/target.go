package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

func targetCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "target",
		Short: "List the targets that the log is kept for, or forget one that is gone",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.PersistentFlags().StringVarP(&file, "config", "c", "walbridge.yaml", "the configuration file")
	c.AddCommand(targetListCommand(&file), targetForgetCommand(&file))
	return c
}

func targetListCommand(file *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the targets, and whoever else holds the log",
		Long: `List the targets of the configuration, and whoever else holds the log: attached, the
log is kept until the target has read it; detached, it is not any more; unmapped, no
mapping leads to it; unknown, it is of no target of this configuration.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withConfig(cmd.Context(), *file, func(ctx context.Context, cfg *config.Config) error {
				list, err := wire.Targets(ctx, cfg, slog.New(slog.DiscardHandler))
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), list)
				}
				return writeTargets(cmd.OutOrStdout(), list)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func targetForgetCommand(file *string) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "forget NAME",
		Short: "Forget a target that is gone for good, so that the log is not kept for it",
		Long: `Remove everything that Redis keeps of a target: its consumer groups, which hold the
log, its state and its dead letters. The log goes on without it. One that a process
delivers to is not forgotten, nor, without --force, one that is in the configuration:
that would start anew.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("name the target that is to be forgotten: walbridge target forget NAME; walbridge target list shows them")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withConfig(cmd.Context(), *file, func(ctx context.Context, cfg *config.Config) error {
				return forgetTarget(ctx, cmd.OutOrStdout(), cfg, args[0], force)
			})
		},
	}
	c.Flags().BoolVar(&force, "force", false, "also a target that is in the configuration")
	return c
}

func forgetTarget(ctx context.Context, out io.Writer, cfg *config.Config, name string, force bool) error {
	if slices.Contains(cfg.TargetNames(), name) && !force {
		return &usageError{fmt.Errorf("target %s is in the configuration; take it out first, or add --force for it to start anew", name)}
	}
	was, err := wire.ForgetTarget(ctx, cfg, slog.New(slog.DiscardHandler), name)
	if err != nil {
		return err
	}
	if !was {
		_, err = fmt.Fprintf(out, "nothing is kept of a target %s\n", name)
		return err
	}
	_, err = fmt.Fprintf(out, "forgot target %s: its consumer groups, its state and its dead letters are gone\n", name)
	return err
}

// withConfig runs f with a configuration, for as long as a look may take.
func withConfig(ctx context.Context, file string, f func(context.Context, *config.Config) error) error {
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	return f(ctx, cfg)
}

func writeTargets(out io.Writer, list []wire.TargetState) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TARGET\tSTATE\tENTRIES TO DO\tOLDEST\tUNREAD\tDEAD LETTERS\tBEGAN FROM\tOWNER") // errors come with Flush
	for _, t := range list {
		n, more, oldest := int64(0), "", 0.0
		for _, l := range t.Lanes {
			n, oldest = n+l.Entries, max(oldest, l.Seconds)
			if l.More {
				more = " or more"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%d%s\t%s\t%s\t%d\t%s\t%s\n", t.Name, t.State, n, more, seconds(oldest), size(t.Unread), t.DeadLetters, orDash(string(t.Began)), orNone(t.Owner))
		if d := t.Detached; d != nil {
			fmt.Fprintf(w, "  since %s, %s\n", moment(d.At), d.Reason)
		}
	}
	return w.Flush()
}
