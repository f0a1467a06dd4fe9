package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/mapping/format"
	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// formatter formats files as the flags say.
type formatter struct {
	list, diff, write bool
	out               io.Writer
	differ            bool           // some file is not in the form
	mistakes          yamldoc.Errors // of all files
}

func fmtCommand() *cobra.Command {
	f := &formatter{}
	c := &cobra.Command{
		Use:   "fmt [files or directories]",
		Short: "Keep one order and style in mapping files",
		Long: `Write mapping files, and walbridge.yaml, in one form: one order of keys, two spaces for
each level, {a: b}, comments behind lines below each other, quotes only where they are
needed. Comments and blank lines stay with what they belong to. What a file means never
changes: a file of which that is not certain is left as it is, with an error.

Without flags the formatted text is printed, that of the standard input if no file is
named. Of a directory all mapping files and configurations in it are taken.

The exit status is 1 if with -l or -d, and without -w, a file is not in this form.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.out = cmd.OutOrStdout()
			return f.run(cmd.InOrStdin(), args)
		},
	}
	c.Flags().BoolVarP(&f.list, "list", "l", false, "list the files that are not in this form")
	c.Flags().BoolVarP(&f.diff, "diff", "d", false, "show what would change")
	c.Flags().BoolVarP(&f.write, "write", "w", false, "write the files instead of printing them")
	return c
}

func (f *formatter) run(in io.Reader, paths []string) error {
	if len(paths) == 0 {
		if f.write {
			return &usageError{errors.New("-w needs the names of files; walbridge fmt -w mappings")}
		}
		text, err := io.ReadAll(in)
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
		return f.end(f.text("<standard input>", text))
	}
	for _, path := range paths {
		if err := f.path(path); err != nil {
			return err
		}
	}
	return f.end(nil)
}

// end tells all mistakes at once.
func (f *formatter) end(err error) error {
	switch {
	case err != nil:
		return err
	case len(f.mistakes) > 0:
		return f.mistakes.Err()
	case f.differ && !f.write && (f.list || f.diff):
		return errProblems
	}
	return nil
}

// path formats a file, or those in a directory.
func (f *formatter) path(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return &usageError{fmt.Errorf("look at %s: %w", path, reasonOf(err))}
	case !info.IsDir():
		return f.file(path, false)
	}
	return filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(d.Name(), ".") && at != path
		switch ext := filepath.Ext(at); {
		case err != nil:
			return fmt.Errorf("look at %s: %w", at, reasonOf(err))
		case d.IsDir() && hidden:
			return filepath.SkipDir
		case d.IsDir() || hidden || ext != ".yaml" && ext != ".yml":
			return nil
		}
		return f.file(at, true)
	})
}

func reasonOf(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// file formats one file. One that was only found in a directory may be somebody else's.
func (f *formatter) file(path string, found bool) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read %s: %w", path, reasonOf(err))
	}
	if found && !format.Ours(text) {
		return nil
	}
	return f.text(path, text)
}

func (f *formatter) text(path string, text []byte) error {
	formatted, err := format.Source(path, text)
	var mistakes yamldoc.Errors
	if errors.As(err, &mistakes) {
		f.mistakes = append(f.mistakes, mistakes...)
		return nil
	}
	if err != nil {
		return err
	}
	if !f.list && !f.diff && !f.write {
		_, err = f.out.Write(formatted)
		return err
	}
	if bytes.Equal(text, formatted) {
		return nil
	}
	f.differ = true
	if f.list {
		if _, err := fmt.Fprintln(f.out, path); err != nil {
			return err
		}
	}
	if f.diff {
		if _, err := io.WriteString(f.out, udiff.Unified(path, path+" (formatted)", string(text), string(formatted))); err != nil {
			return err
		}
	}
	if f.write {
		return replaceFile(path, formatted)
	}
	return nil
}

// replaceFile gives a file another text at once: whoever reads it meanwhile, and whatever
// happens, it has one or the other.
func replaceFile(path string, text []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, reasonOf(err))
		}
	}()
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Chmod(info.Mode().Perm()), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), path)
}
