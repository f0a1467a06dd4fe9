package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

func slotCommand() *cobra.Command {
	var file string
	var asJSON bool
	c := &cobra.Command{
		Use:   "slot",
		Short: "Show how much WAL the slot keeps on the server, or drop it",
		Long: `Show how much WAL the slot keeps on the server, and warn from half of
postgres.wal_budget on. Only walbridge slot drop NAME drops the slot.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withSlot(cmd.Context(), file, func(ctx context.Context, s *wire.Slot) error {
				if asJSON {
					return writeJSON(cmd.OutOrStdout(), s.Report)
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				writeSlot(w, s.Report)
				return w.Flush()
			})
		},
	}
	c.PersistentFlags().StringVarP(&file, "config", "c", "walbridge.yaml", "the configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.AddCommand(&cobra.Command{
		Use:   "drop NAME",
		Short: "Drop the slot; what was not captured yet is lost",
		Long: `Drop the slot, so that the server may remove its WAL. What was not captured yet is
lost: a bridge that is started again says data_loss. The slot's name is asked for,
so that it is not dropped by mistake. One that is in use is not dropped.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("name the slot that is to be dropped: walbridge slot drop NAME; walbridge slot shows it")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSlot(cmd.Context(), file, func(ctx context.Context, s *wire.Slot) error {
				return dropSlot(ctx, cmd.OutOrStdout(), s, args[0])
			})
		},
	})
	return c
}

// withSlot runs f with a connection to the database of a configuration.
func withSlot(ctx context.Context, file string, f func(context.Context, *wire.Slot) error) (err error) {
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	s, err := wire.OpenSlot(ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return f(ctx, s)
}

func dropSlot(ctx context.Context, out io.Writer, s *wire.Slot, name string) error {
	switch {
	case name != s.Report.Slot:
		return &usageError{fmt.Errorf("the slot of this configuration is %s, not %s", s.Report.Slot, name)}
	case !s.Report.Exists:
		_, err := fmt.Fprintf(out, "there is no slot %s\n", name)
		return err
	}
	if err := s.Drop(ctx); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "dropped slot %s, which kept %s of WAL; its publication is left: if the bridge does not come back, run DROP PUBLICATION %s\n", name, size(s.Report.Retained), cdc.QuoteIdent(s.Report.Publication))
	return err
}
