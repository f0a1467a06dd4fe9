package structure

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "example.org/bridge"

// parse makes a tree of files given as path and text.
func parse(t *testing.T, files map[string]string) *tree {
	t.Helper()
	root := fstest.MapFS{}
	for path, text := range files {
		root[path] = &fstest.MapFile{Data: []byte(text)}
	}
	got, err := load(root, module)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// wantProblems checks that there is one problem for each expected text, in any
// order, and no other.
func wantProblems(t *testing.T, found []problem, want ...string) {
	t.Helper()
	if len(found) != len(want) {
		t.Errorf("found %d problems, want %d: %v", len(found), len(want), found)
	}
	for _, w := range want {
		hit := false
		for _, p := range found {
			hit = hit || strings.Contains(p.String(), w)
		}
		if !hit {
			t.Errorf("no problem with %q among %v", w, found)
		}
	}
}

func TestLoadIgnoresWhatGoIgnores(t *testing.T) {
	t.Parallel()
	got := parse(t, map[string]string{
		"cdc/a.go":            "package cdc\n",
		"cdc/a_test.go":       "package cdc\n",
		"cdc/README.md":       "no Go",
		"cdc/testdata/bad.go": "this is not Go",
		"cdc/_old.go":         "this is not Go",
		".git/x.go":           "this is not Go",
		"_x/x.go":             "this is not Go",
		"vendor/x/x.go":       "this is not Go",
	})
	if len(got.packages) != 1 || len(got.packages[0].files) != 1 || len(got.packages[0].tests) != 1 {
		t.Errorf("loaded %+v", got.packages)
	}
}

func TestLoadRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	_, err := load(fstest.MapFS{"cdc/a.go": {Data: []byte("package")}}, module)
	if err == nil || !strings.Contains(err.Error(), "cdc/a.go") {
		t.Errorf("a file that is no Go gave %v", err)
	}
}

func TestCheckNames(t *testing.T) {
	t.Parallel()
	wantProblems(t, checkNames(parse(t, map[string]string{
		"cdc/a.go":             "package cdc\n",
		"mapping/model/a.go":   "package model\n",
		"cmd/bridge/main.go":   "package main\n",
		"internal/x/a.go":      "package x\n",
		"pkg/a.go":             "package good\n",
		"main.go":              "package main\n",
		"cdc/util/a.go":        "package util\n",
		"sinks/text/a.go":      "package helpers\n",
		"test/types/x_test.go": "package types\n",
		"docs/example/a.go":    "package example\n",
		"sinks/common/x/y.go":  "package y\n",
	})),
		"internal/x: packages live under", "pkg: packages live under", "pkg: the name pkg",
		".: packages live under", "cdc/util: the name util", "sinks/text: the name helpers",
		"test/types: the name types", "sinks/common/x: the name common", "docs/example: packages live under")
}

func TestCheckComments(t *testing.T) {
	t.Parallel()
	wantProblems(t, checkComments(parse(t, map[string]string{
		"cdc/a.go":             "// Package cdc is good.\npackage cdc\n",
		"cdc/b.go":             "package cdc\n",
		"cmd/bridge/main.go":   "// Command bridge is good.\npackage main\n",
		"test/e2e/a_test.go":   "// Package e2e is good, and of tests only.\npackage e2e_test\n",
		"sinks/none/a.go":      "package none\n",
		"sinks/none/a_test.go": "// Package none has its comment in the wrong file.\npackage none\n",
		"sinks/far/a.go":       "// Package far is too far away.\n\npackage far\n",
		"sinks/twice/a.go":     "// Package twice is one.\npackage twice\n",
		"sinks/twice/b.go":     "// Package twice is two.\npackage twice\n",
		"sinks/other/a.go":     "// Package another is misnamed.\npackage other\n",
		"cmd/tool/main.go":     "// Package main says nothing.\npackage main\n",
	})),
		"sinks/none: no package comment", "sinks/far: no package comment",
		"sinks/twice: more than one", "sinks/other/a.go: the package comment begins",
		"cmd/tool/main.go: the package comment begins")
}

func TestCheckSizes(t *testing.T) {
	t.Parallel()
	fn := func(name string, lines int) string {
		return "func " + name + "() {\n" + strings.Repeat("\tx()\n", lines-2) + "}\n"
	}
	wantProblems(t, checkSizes(parse(t, map[string]string{
		"cdc/good.go":      "package cdc\n" + strings.Repeat("// x\n", fileLines-2),
		"cdc/long.go":      "package cdc\n" + strings.Repeat("// x\n", fileLines-1),
		"cdc/long_test.go": "package cdc\n" + strings.Repeat("// x\n", fileLines) + fn("long", functionLines),
		"cdc/functions.go": "package cdc\n" + fn("short", functionLines-1) + fn("long", functionLines),
		"cdc/parameters.go": "package cdc\nfunc (r *r) five(a, b int, c, d string, e ...int) (f, g int) { return }\n" +
			"func six(a, b int, c, d string, int2 func(x, y int), f ...int) {}\n",
	})),
		"cdc/long.go: 400 lines", "cdc/functions.go:81: function long has 80 lines",
		"cdc/parameters.go:3: function six has 6 parameters")
}

// TestCheckImports tries every rule with an import it forbids and one it lets
// pass.
func TestCheckImports(t *testing.T) {
	t.Parallel()
	const lib = "github.com/some/library"
	covered := map[string]bool{}
	for _, c := range []struct {
		from, to string
		rule     string // empty: it is allowed
	}{
		{"cdc", "encoding/json", ""},
		{"cdc", lib, "cdc is vocabulary"},
		{"cdc", module + "/cdc/pgoutput", "cdc is vocabulary"},
		{"sinks", module + "/cdc", ""},
		{"sinks", lib, "sinks is vocabulary"},
		{"sinks", module + "/mapping", "sinks is vocabulary"},
		{"cdc/pgoutput", module + "/cdc", ""},
		{"cdc/pgoutput", lib, "pgoutput is pure"},
		{"cdc/pgsource", lib, ""},
		{"cdc/pgsource", module + "/cdc/pgoutput", ""},
		{"cdc/pgsource", module + "/mapping/expr", "capture does not know delivery"},
		{"cdc/redislog", module + "/sinks", "capture does not know delivery"},
		{"cdc/pgsource", module + "/cdc/redislog", "the source does not know the log engine"},
		{"cdc/redislog", module + "/cdc/redislog/script", ""},
		{"cdc/redislog", module + "/cdc/pgsource", "a log engine knows neither the source nor the other"},
		{"cdc/redislog", module + "/cdc/kafkalog", "a log engine knows neither the source nor the other"},
		{"mapping", module + "/mapping/expr", ""},
		{"mapping/lookup", lib, ""},
		{"mapping", module + "/cdc/pgsource", "mapping is in the middle"},
		{"mapping/expr", module + "/sinks/httpapi", "mapping is in the middle"},
		{"sinks/httpapi", module + "/sinks", ""},
		{"sinks/httpapi", module + "/sinks/httpapi/preset", ""},
		{"sinks/httpapi/preset", module + "/sinks/httpapi", ""},
		{"sinks/httpapi", module + "/sinks/sandbox", "targets do not know each other"},
		{"sinks/salesforce/bulk", module + "/sinks/hubspot", "targets do not know each other"},
		{"sinks/httpapi", module + "/sinks/deliver", "targets do not know the engine"},
		{"sinks/sandbox", module + "/sinks/state", "targets do not know the engine"},
		{"sinks/sandbox", module + "/mapping", "targets do not know the engine"},
		{"sinks/deliver", module + "/sinks/queue", ""},
		{"sinks/deliver", module + "/sinks/httpapi", "the engine does not know targets"},
		{"sinks/sinktest", module + "/sinks/sandbox", "the engine does not know targets"},
		{"sinks/httpapi", module + "/sinks/transport", ""},
		{"sinks/transport", module + "/sinks", ""},
		{"sinks/transport", module + "/sinks/httpapi", "what targets share knows none of them"},
		{"sinks/transport", module + "/sinks/state", "targets do not know the engine"},
		{wire, module + "/sinks/httpapi", ""},
		{vendors, module + "/sinks/httpapi", ""},
		{wire, module + "/cdc/redislog", ""},
		{"cmd/walbridge", module + "/" + wire, ""},
		{"cmd/walbridge", module + "/cdc", ""},
		{"cmd/walbridge", module + "/sinks/sandbox", ""},
		{"cmd/walbridge", module + "/cdc/pgsource", "only wire knows everything"},
		{"cmd/walbridge/internal/console", module + "/sinks/queue", "only wire knows everything"},
		{"cmd/walbridge/internal/demo", module + "/sinks/httpapi", "only wire knows everything"},
		{demo, module + "/test/servers", ""},
		{demo + "/sales", module + "/test/servers", ""},
		{demo, module + "/test/bench", "the product does not know its tests"},
		{wire, module + "/test/servers", "the product does not know its tests"},
		{"cdc/redislog", module + "/test/servers", "the product does not know its tests"},
		{"test/bench", module + "/cdc/pgsource", ""},
		{"cdc/pgsource", module + "/cmd/walbridge", "libraries do not know commands"},
		{"test/servers/servertest", "testing", ""},
		{"sinks/sinktest", "testing", ""},
		{"test/servers", "testing", "testing stays in tests"},
		{"test/bench", module + "/test/servers/servertest", "testing stays in tests"},
	} {
		source := fmt.Sprintf("package x\nimport _ %q\n", c.to)
		found := checkImports(parse(t, map[string]string{c.from + "/x.go": source, c.from + "/x_test.go": source}))
		if c.rule == "" {
			wantProblems(t, found)
			continue
		}
		covered[c.rule] = true
		wantProblems(t, found, c.from+"/x.go:2: "+c.from+" must not import "+strings.TrimPrefix(c.to, module+"/")+" ("+c.rule+")")
	}
	for _, r := range rules {
		if !covered[r.name] {
			t.Errorf("rule %q was not seen to forbid anything", r.name)
		}
		if r.why == "" {
			t.Errorf("rule %q gives no reason", r.name)
		}
	}
}
