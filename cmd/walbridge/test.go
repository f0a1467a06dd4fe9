package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/trials"
)

type testFlags struct {
	config, catalog, junit, only string
	update, verbose              bool
}

func testCommand() *cobra.Command {
	f := &testFlags{}
	c := &cobra.Command{
		Use:   "test [files or directories]",
		Short: "Run the tests in mapping files, without any server",
		Long: `Run the tests in mapping files: each gives a change of a row, and the record that
the mapping makes of it has to be the one that is expected. Without files, those of
the configuration are run, or else those in the directory mappings. No server is
needed: what was saved of the source's tables is in catalog.json, beside the files or
above them.

The exit status is 1 if a test fails or a file has mistakes.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runTests(cmd.OutOrStdout(), args, f, cmd.Flags().Changed("config"))
		},
	}
	c.Flags().StringVarP(&f.config, "config", "c", "walbridge.yaml", "the configuration whose mapping files are run when none are named")
	c.Flags().StringVar(&f.catalog, "catalog", "", "what was saved of the source's tables (default catalog.json beside each file or above it)")
	c.Flags().StringVar(&f.only, "run", "", "run only tests whose name matches a regular expression")
	c.Flags().BoolVar(&f.update, "update", false, "write what the mappings make into the files as what is expected, for tests that fail or expect nothing")
	c.Flags().StringVar(&f.junit, "junit", "", "write the outcome to a file as JUnit XML")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "show the tests that pass too")
	return c
}

func runTests(out io.Writer, args []string, f *testFlags, configured bool) error {
	o := trials.Options{Catalog: f.catalog, Update: f.update}
	if f.only != "" {
		only, err := regexp.Compile(f.only)
		if err != nil {
			return &usageError{fmt.Errorf("--run %s: not a regular expression: %w", f.only, err)}
		}
		o.Only = only
	}
	paths, err := trials.Find(args, f.config, configured)
	var none *trials.NotFound
	if errors.As(err, &none) {
		return &usageError{err}
	}
	if err != nil {
		return err
	}
	files, err := trials.Run(paths, o)
	if err != nil {
		return err
	}
	good := trials.Good(files)
	if o.Only != nil && good && trials.Chosen(files) == 0 {
		return &usageError{fmt.Errorf("--run %s: no test has a name that matches; walbridge test -v shows the names", f.only)}
	}
	err = trials.Write(out, files, trials.Style{Verbose: f.verbose, Color: colored(out)})
	if err == nil && f.junit != "" {
		err = writeJUnit(f.junit, files)
	}
	if err == nil && !good {
		err = errProblems
	}
	return err
}

// colored tells that an output is a terminal that may be given colours.
func colored(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(file.Fd()))
}

func writeJUnit(path string, files []*trials.File) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write JUnit: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return trials.WriteJUnit(file, files)
}
