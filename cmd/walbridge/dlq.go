package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

// dlq is what the commands for dead letters have in common: which are meant.
type dlq struct {
	file, target string
	filter       wire.DeadFilter
	older, newer time.Duration
	all          bool
}

func dlqCommand() *cobra.Command {
	d := &dlq{}
	c := &cobra.Command{
		Use:   "dlq",
		Short: "List, show, retry or discard the records that a target refused",
		Long: `Look after the dead letters: records that a target refused for good, or that no record
could be made of. There is one for each row and mapping, its newest. It goes by itself
when a newer value of the row is delivered, or is not wanted by the mapping any more: most
of them are mended at the source. All of this is safe while workers run and while none do.`,
		Example: `  walbridge dlq list
  walbridge dlq show --target crm --code STRING_TOO_LONG
  walbridge dlq show --json > dead-letters.jsonl
  walbridge dlq retry --target crm --mapping deals-to-crm
  walbridge dlq discard --target crm --older-than 240h`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	flags := c.PersistentFlags()
	flags.StringVarP(&d.file, "config", "c", "walbridge.yaml", "the configuration file")
	flags.StringVar(&d.target, "target", "", "only those of a target")
	flags.StringVar(&d.filter.Mapping, "mapping", "", "only those of a mapping")
	flags.StringVar(&d.filter.Code, "code", "", "only those with this code of an error")
	flags.StringVar(&d.filter.Key, "key", "", "only that of a row: the value of its key, or a JSON object of the key's columns")
	flags.DurationVar(&d.older, "older-than", 0, "only those parked longer ago, such as 24h")
	flags.DurationVar(&d.newer, "newer-than", 0, "only those parked since, such as 1h")
	c.AddCommand(d.listCommand(), d.showCommand(), d.retryCommand(), d.discardCommand())
	return c
}

func (d *dlq) listCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the dead letters grouped by error, without values of rows", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.with(cmd, func(ctx context.Context, l *wire.DeadLetters) error {
				groups, err := l.Groups(ctx, d.filter)
				if err != nil {
					return err
				}
				totals, err := l.Totals(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), map[string]any{"groups": groups, "targets": totals})
				}
				return writeDeadGroups(cmd.OutOrStdout(), groups, totals)
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (d *dlq) showCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show", Short: "Show the dead letters one by one, with the values of their rows", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.with(cmd, func(ctx context.Context, l *wire.DeadLetters) error {
				out := cmd.OutOrStdout()
				return l.Each(ctx, d.filter, func(e wire.DeadLetter) error {
					if asJSON {
						return json.NewEncoder(out).Encode(e)
					}
					return writeDeadLetter(out, &e)
				})
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object in each line")
	return c
}

func (d *dlq) retryCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "retry", Short: "Have the rows of dead letters read and delivered again, as they are now",
		Long: `Ask for the rows of dead letters to be read again from their tables, for the mapping that
they are of. The running capture does that, or the next one that runs, and the worker
delivers them as any other change. A dead letter stays until then: it goes when the target
takes the row, and is replaced when the row is refused once more. A row that is not there
any more is deleted at the target.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.withSome(cmd, func(ctx context.Context, l *wire.DeadLetters) error {
				n, specs, err := l.Retry(ctx, d.filter)
				if n == 0 && err == nil {
					_, err = fmt.Fprintln(cmd.OutOrStdout(), "no dead letter is meant")
					return err
				}
				for _, s := range specs {
					fmt.Fprintf(cmd.OutOrStdout(), "backfill %s reads %d rows of %s again for %s\n", s.ID, len(s.Keys), s.Table, strings.Join(s.For, ", "))
				}
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), "walbridge dlq list tells what is still refused after it, walbridge backfill list how far it is")
				}
				return err
			})
		},
	}
	d.allFlag(c)
	return c
}

func (d *dlq) discardCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "discard", Short: "Take dead letters away for good; they are counted", Args: noArgs,
		Long: `Take dead letters away. The target stays without what they would have brought, until the
row changes again. What is parked meanwhile stays. walbridge dlq show --json saves them
before.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.withSome(cmd, func(ctx context.Context, l *wire.DeadLetters) error {
				n, err := l.Discard(ctx, d.filter)
				fmt.Fprintf(cmd.OutOrStdout(), "discarded %s\n", wire.Letters(n))
				return err
			})
		},
	}
	d.allFlag(c)
	return c
}

func (d *dlq) allFlag(c *cobra.Command) {
	c.Flags().BoolVar(&d.all, "all", false, "all dead letters of all targets")
}

// withSome is with for what changes something: which are meant has to be said.
func (d *dlq) withSome(cmd *cobra.Command, f func(context.Context, *wire.DeadLetters) error) error {
	some := d.target != "" || d.filter != wire.DeadFilter{} || d.older != 0 || d.newer != 0
	if some == d.all {
		return &usageError{fmt.Errorf("say which dead letters are meant: %s --target, --mapping, --code, --key, --older-than, --newer-than, or --all alone for all of them", cmd.CommandPath())}
	}
	return d.with(cmd, f)
}

// with runs f with the dead letters of a configuration.
func (d *dlq) with(cmd *cobra.Command, f func(context.Context, *wire.DeadLetters) error) (err error) {
	if d.older < 0 || d.newer < 0 {
		return &usageError{errors.New("--older-than and --newer-than are durations, such as 24h")}
	}
	now := time.Now()
	if d.older > 0 {
		d.filter.Before = now.Add(-d.older)
	}
	if d.newer > 0 {
		d.filter.After = now.Add(-d.newer)
	}
	cfg, err := config.Load(d.file, os.LookupEnv)
	if err != nil {
		return err
	}
	l, err := wire.OpenDeadLetters(cmd.Context(), cfg, slog.New(slog.DiscardHandler), d.target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if d.filter.Mapping != "" {
		if err := l.CheckMapping(cmd.Context(), d.target, d.filter.Mapping); err != nil {
			return err
		}
	}
	return f(cmd.Context(), l)
}

func writeDeadGroups(out io.Writer, groups []wire.DeadGroup, totals []wire.DeadTotals) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(groups) == 0 {
		fmt.Fprintln(w, "no dead letters") // errors come with Flush
	} else {
		fmt.Fprintln(w, "RECORDS\tTARGET\tMAPPING\tCODE\tOLDEST\tNEWEST\tERROR")
	}
	for _, g := range groups {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\n", g.Count, g.Target, g.Mapping, g.Code, moment(g.Oldest), moment(g.Newest), g.Error)
	}
	for _, t := range totals {
		if t.Resolved+t.Replaced+t.Discarded > 0 {
			fmt.Fprintf(w, "target %s until now: %d went with a newer value, %d with a newer refusal, %d were discarded\n", t.Target, t.Resolved, t.Replaced, t.Discarded)
		}
		if t.Full+t.Old > 0 {
			fmt.Fprintf(w, "data_loss: target %s: %d were dropped as there were too many, %d as they were too old; see delivery.dead_letters in the configuration\n", t.Target, t.Full, t.Old)
		}
	}
	return w.Flush()
}

func writeDeadLetter(out io.Writer, e *wire.DeadLetter) error {
	detail := e.Error
	if e.Detail != "" {
		// What a target says is not to steer a terminal.
		detail += ": " + strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, e.Detail)
	}
	tries := "tries"
	if e.Attempts == 1 {
		tries = "try"
	}
	_, err := fmt.Fprintf(out, "%s  %s  %s of %s\n  parked   %s, after %d %s\n  code     %s\n  error    %s\n  change   %s at %s\n  payload  %s\n\n",
		e.Target, e.Mapping, e.Key, e.Table, moment(e.Time), e.Attempts, tries, e.Code, detail, e.Op, e.Position, e.Payload)
	return err
}
