package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/initial"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
	"github.com/walbridge/walbridge/mapping"
)

type initFlags struct {
	database, redis, dir string
	targets, tables      []string
	all, force           bool
}

func initCommand() *cobra.Command {
	f := &initFlags{}
	c := &cobra.Command{
		Use:   "init",
		Short: "Look at the database and write a configuration and mapping files",
		Long: `Look at a database, without changing anything in it, and write a commented walbridge.yaml,
a commented mapping file for each chosen table, the schemas by which editors complete
both, and catalog.json, by which mappings are checked and tested without the database.

Without --table, list the tables and whether they can be captured. A file that is there
already is left as it is. An address with a password is not written down: the
configuration takes it from the environment.`,
		Example: `  walbridge init --database postgres://app@localhost/sales
  walbridge init --database postgres://app@localhost/sales --table public.deals --target crm=http@https://crm.example.com/batch`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 3*inspectTimeout)
			defer cancel()
			return f.run(ctx, cmd.OutOrStdout())
		},
	}
	fs := c.Flags()
	fs.StringVar(&f.database, "database", "", "the database's address (default $DATABASE_URL)")
	fs.StringVar(&f.redis, "redis", "", "the address of Redis (default $REDIS_URL, or redis://127.0.0.1:6379/0)")
	fs.StringArrayVar(&f.targets, "target", nil, "a target as NAME=TYPE@URL, may be repeated; mappings lead to the first (default crm=http, which walbridge sandbox simulates)")
	fs.StringArrayVar(&f.tables, "table", nil, "a table to map, as schema.table, may be repeated")
	fs.BoolVar(&f.all, "all", false, "map all tables that can be captured")
	fs.StringVar(&f.dir, "dir", ".", "where the files are written")
	fs.BoolVar(&f.force, "force", false, "overwrite files that are there")
	return c
}

func (f *initFlags) run(ctx context.Context, out io.Writer) error {
	o, err := f.options()
	if err != nil {
		return &usageError{err}
	}
	survey, err := wire.NewSurvey(ctx, o.Database)
	if err != nil {
		return err
	}
	if len(f.tables) == 0 && !f.all {
		return listTables(out, survey.Tables)
	}
	tables, err := initial.Choose(survey.Tables, f.tables, f.all)
	if err != nil {
		return &usageError{err}
	}
	if len(tables) == 0 {
		if err := listTables(out, survey.Tables); err != nil {
			return err
		}
		return errors.New("no table can be captured")
	}
	for i := range tables {
		if err := survey.Measure(ctx, &tables[i]); err != nil {
			if _, err := fmt.Fprintf(out, "not measured: %v\n", err); err != nil {
				return err
			}
		}
	}
	files, err := initial.Files(o, tables)
	if err != nil {
		return err
	}
	wrote, err := f.write(out, files, initial.Catalog(tables))
	if err != nil {
		return err
	}
	return nextSteps(out, f.dir, o, wrote)
}

func (f *initFlags) options() (initial.Options, error) {
	o := initial.Options{Database: f.database, Redis: f.redis}
	if o.Database == "" {
		o.Database = os.Getenv("DATABASE_URL")
	}
	if o.Database == "" {
		return o, errors.New("--database is missing; write the address of the database, such as --database postgres://app@localhost/sales, or set DATABASE_URL")
	}
	if o.Redis == "" {
		o.Redis = os.Getenv("REDIS_URL")
	}
	if o.Redis == "" {
		o.Redis = "redis://127.0.0.1:6379/0"
	}
	if len(f.targets) == 0 {
		f.targets = []string{"crm=http"}
	}
	for _, text := range f.targets {
		t, err := initial.ParseTarget(text)
		if err != nil {
			return o, err
		}
		if slices.ContainsFunc(o.Targets, func(other initial.Target) bool { return other.Name == t.Name }) {
			return o, fmt.Errorf("--target %s: named twice", t.Name)
		}
		o.Targets = append(o.Targets, t)
	}
	return o, nil
}

// listTables shows what can be chosen.
func listTables(out io.Writer, tables []initial.Table) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TABLE\tROWS\tKEY\tCAN BE CAPTURED") // errors come with Flush
	var mends []string
	can := ""
	for i := range tables {
		t := &tables[i]
		if t.Root.Name != "" {
			continue // its rows are those of its root
		}
		rows, yes := "?", "yes"
		if t.Rows >= 0 {
			rows = "about " + strconv.FormatInt(t.Rows, 10)
		}
		if trouble, mend := t.Refusal(); trouble != "" {
			yes = "no"
			mends = append(mends, fmt.Sprintf("%s: %s", trouble, mend))
		} else if can == "" {
			can = t.Name.String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.Name, rows, cmp.Or(strings.Join(t.Key(), ", "), "none"), yes)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(mends) > 0 {
		mends = append([]string{""}, mends...)
	}
	text := strings.Join(append(mends, ""), "\n")
	if can != "" {
		text += fmt.Sprintf("\nchoose with --table %s, or --all\n", quoteArg(can))
	}
	_, err := io.WriteString(out, text)
	return err
}

// quoteArg quotes an argument as a shell wants it.
func quoteArg(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool {
		return r != '.' && r != '_' && r != '-' && r != '/' && r != ':' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

// write writes files that are not there, or all by force, and gives those written.
func (f *initFlags) write(out io.Writer, files []initial.File, catalog *mapping.MemoryCatalog) (wrote []string, err error) {
	if err := os.MkdirAll(filepath.Join(f.dir, "mappings"), 0o755); err != nil {
		return nil, fmt.Errorf("make the directory %s: %w; choose another with --dir", f.dir, reasonOf(err))
	}
	note := func(path string, err error) error {
		switch {
		case errors.Is(err, fs.ErrExist):
			_, err = fmt.Fprintf(out, "kept %s, which is there already; --force overwrites it\n", path)
			return err
		case err != nil:
			return fmt.Errorf("write %s: %w", path, reasonOf(err))
		}
		wrote = append(wrote, path)
		_, err = fmt.Fprintf(out, "wrote %s\n", path)
		return err
	}
	for _, file := range files {
		path := filepath.Join(f.dir, filepath.FromSlash(file.Path))
		if err := note(path, f.create(path, file.Text)); err != nil {
			return nil, err
		}
	}
	path := filepath.Join(f.dir, initial.CatalogFile)
	if _, err = os.Lstat(path); err == nil && !f.force {
		err = fs.ErrExist
	} else {
		err = catalog.Save(path)
	}
	return wrote, note(path, err)
}

func (f *initFlags) create(path string, text []byte) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if f.force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(path, flags, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

// nextSteps says what comes now.
func nextSteps(out io.Writer, dir string, o initial.Options, wrote []string) error {
	var b strings.Builder
	if len(wrote) > 0 {
		b.WriteString("\nlook through the mapping files, then:\n")
	} else {
		b.WriteString("\nnext:\n")
	}
	for _, v := range initial.Variables(o) {
		fmt.Fprintf(&b, "  export %s=…  # %s, which is not in the file\n", v.Name, v.For)
	}
	if slices.ContainsFunc(o.Targets, func(t initial.Target) bool { return t.URL == initial.Sandbox }) {
		b.WriteString("  walbridge sandbox &  # simulates the target\n")
	}
	file := quoteArg(filepath.Join(dir, initial.ConfigFile))
	fmt.Fprintf(&b, "  walbridge check -c %s  # what would fail, and how it is mended\n", file)
	fmt.Fprintf(&b, "  walbridge test %s/*.yaml  # the tests in the mapping files\n", quoteArg(filepath.Join(dir, "mappings")))
	fmt.Fprintf(&b, "  walbridge run -c %s\n", file)
	_, err := io.WriteString(out, b.String())
	return err
}
