package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

// rowsCommand makes of c a command that reads the rows of tables, and writes a report, as JSON or for
// people, that tells whether all is well. The flags fill o.
func rowsCommand(c *cobra.Command, o *wire.RowOptions, read func(*cobra.Command, *config.Config) (rowsReport, error)) *cobra.Command {
	var (
		file, sample string
		asJSON       bool
	)
	f := c.Flags()
	f.StringVarP(&file, "config", "c", "walbridge.yaml", "the configuration file")
	f.StringVar(&o.Target, "target", "", "only the mappings to a target")
	f.StringVar(&o.Mapping, "mapping", "", "only a mapping")
	f.StringVar(&sample, "sample", "100%", "look at this share of the rows, the same ones each time")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	c.Args = noArgs
	c.RunE = func(cmd *cobra.Command, _ []string) error {
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
		}
		r, err := read(cmd, cfg)
		if o.Progress != nil {
			fmt.Fprint(cmd.ErrOrStderr(), "\r\x1b[K")
		}
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
	}
	return c
}

// rowsReport is what such a command tells.
type rowsReport interface {
	Write(io.Writer) error
	OK() bool
}

// share reads a percentage as a share of one.
func share(text string) (float64, error) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	if err != nil || !strings.HasSuffix(text, "%") || !(n > 0 && n <= 100) {
		return 0, errors.New("--sample is a percentage above 0%, such as 5%")
	}
	return n / 100, nil
}
