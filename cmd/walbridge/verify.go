package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

// verifyCommand compares source and targets.
func verifyCommand() *cobra.Command {
	var (
		file, sample string
		asJSON       bool
		o            wire.VerifyOptions
	)
	c := &cobra.Command{
		Use:   "verify",
		Short: "Compare every row with what was delivered, and with what the target holds",
		Long: `Read every row of the tables that mappings are of, make its record, and compare that with
what was delivered, and with the target itself where it can be read (salesforce, hubspot,
postgres, and http with a read: in its form), within the limits of its account. Missing,
stale, different and orphan records are told apart. What changes meanwhile is looked at
again once the target has dealt with it, so nothing has to stand still.

--repair has what is wrong be read and delivered again, in the bulk lane, and looks at it
once more. The exit status is 0 only if nothing is wrong. See docs/verify.md.`,
		Example: `  walbridge verify
  walbridge verify --target crm --sample 5%
  walbridge verify --mapping deals-to-crm --repair`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Sample, err = share(sample); err != nil {
				return &usageError{err}
			}
			cfg, err := config.Load(file, os.LookupEnv)
			if err != nil {
				return err
			}
			if f, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
				o.Progress = func(p wire.RowProgress) { fmt.Fprintf(f, "\r%s: %d rows\x1b[K", p.Table, p.Rows) }
				defer fmt.Fprint(f, "\r\x1b[K")
			}
			r, err := wire.Verify(cmd.Context(), cfg, slog.New(slog.DiscardHandler), o)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), r)
			} else {
				err = r.Write(cmd.OutOrStdout())
			}
			if err == nil && !r.OK() {
				err = errProblems
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVarP(&file, "config", "c", "walbridge.yaml", "the configuration file")
	f.StringVar(&o.Target, "target", "", "only the mappings to a target")
	f.StringVar(&o.Mapping, "mapping", "", "only a mapping")
	f.StringVar(&sample, "sample", "100%", "look at this share of the rows, the same ones each time")
	f.BoolVar(&o.StateOnly, "state-only", false, "do not ask targets, compare with what was delivered")
	f.BoolVar(&o.Repair, "repair", false, "have what is wrong be delivered again")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// share reads a percentage as a share of one.
func share(text string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !strings.HasSuffix(text, "%") || !(n > 0 && n <= 100) {
		return 0, errors.New("--sample is a percentage above 0%, such as 5%")
	}
	return n / 100, nil
}
