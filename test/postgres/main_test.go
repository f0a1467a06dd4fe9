package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeServer makes the directory of a version's programs and has the
// environment name it.
func fakeServer(t *testing.T, major int, says string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range []string{"postgres", "initdb"} {
		text := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s'\n", says)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(override(major), dir)
	return dir
}

func TestALineForEachVersion(t *testing.T) {
	oldest, newest, newer := fakeServer(t, 14, "14.23"), fakeServer(t, 18, "18.4"), fakeServer(t, 19, "19devel")
	var out, progress bytes.Buffer
	if err := run(t.Context(), []string{"18", "14", "19"}, &out, &progress); err != nil {
		t.Fatal(err)
	}
	if want := newest + "\n" + oldest + "\n" + newer + "\n"; out.String() != want || progress.Len() > 0 {
		t.Errorf("printed %q and %q, want %q", out.String(), progress.String(), want)
	}
}

func TestMistakes(t *testing.T) {
	fakeServer(t, 14, "15.18")
	t.Setenv(override(16), filepath.Join(t.TempDir(), "none"))
	for _, tc := range []struct {
		args  []string
		usage bool
		want  string
	}{
		{nil, true, "no version is given; the known ones are 14 15 16 17 18"},
		{[]string{"14", "13"}, true, `unknown version "13"; the known ones are 14 15 16 17 18`},
		{[]string{"newest"}, true, `unknown version "newest"`},
		{[]string{"14"}, false, "use WALBRIDGE_TEST_POSTGRES_14_BIN: check PostgreSQL 14"},
		{[]string{"16"}, false, "use WALBRIDGE_TEST_POSTGRES_16_BIN: find PostgreSQL"},
	} {
		var out bytes.Buffer
		err := run(t.Context(), tc.args, &out, &out)
		if err == nil || errors.Is(err, errUsage) != tc.usage || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want %q in it", tc.args, err, tc.want)
		}
		if out.Len() > 0 {
			t.Errorf("%q: printed %q", tc.args, out.String())
		}
	}
}
