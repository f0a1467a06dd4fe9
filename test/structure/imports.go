package structure

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// rule forbids some imports of some packages, for a reason.
type rule struct {
	name string
	// from tells whether the rule is about a package; the path is from the
	// module's root.
	from func(pkg string) bool
	// forbids tells whether such a package must not import another.
	forbids func(pkg string, i imported) bool
	why     string
}

// imported is what a file imports.
type imported struct {
	path  string // from the module's root, where it is ours
	local bool   // it is a package of this module
}

// standard tells whether it is of the standard library: only there a path may
// begin without a domain.
func (i imported) standard() bool {
	first, _, _ := strings.Cut(i.path, "/")
	return !i.local && !strings.Contains(first, ".")
}

// is tells whether it is one of our packages.
func (i imported) is(paths ...string) bool { return i.local && is(paths...)(i.path) }

// under tells whether it is one of our packages or below one.
func (i imported) under(paths ...string) bool { return i.local && under(paths...)(i.path) }

// is gives a test for being one of the paths.
func is(paths ...string) func(string) bool {
	return func(p string) bool {
		for _, want := range paths {
			if p == want {
				return true
			}
		}
		return false
	}
}

// under gives a test for being one of the paths or below one.
func under(paths ...string) func(string) bool {
	return func(p string) bool {
		for _, want := range paths {
			if p == want || strings.HasPrefix(p, want+"/") {
				return true
			}
		}
		return false
	}
}

// The places where the parts come together.
const (
	wire    = "cmd/walbridge/internal/wire"
	vendors = "cmd/walbridge/internal/vendors" // the targets
	demo    = "cmd/walbridge/internal/demo"
)

// engine is the part of sinks that is the same for all targets.
var engine = []string{"sinks/queue", "sinks/deliver", "sinks/state", "sinks/deadletter", "sinks/targetkey", "sinks/rate", "sinks/notes", "sinks/vault", "sinks/trace"}

// shared is what targets have in common.
var shared = []string{"sinks/transport"}

// isTarget tells whether a package belongs to one target: all that is below
// sinks, but for the engine, what targets share and the suites for tests.
func isTarget(p string) bool {
	return strings.HasPrefix(p, "sinks/") && !under(engine...)(p) && !under(shared...)(p) && !isTestSuite(p)
}

// targetOf gives the directory of the target a package belongs to.
func targetOf(p string) string {
	parts := strings.SplitN(p, "/", 3)
	return path.Join(parts[:2]...)
}

// isTestSuite tells whether a package is made for tests to import: its name
// ends in test, as with servertest.
func isTestSuite(p string) bool {
	base := path.Base(p)
	return strings.HasSuffix(base, "test") && base != "test"
}

// rules are the directions of import. Only wire has none: it knows everything.
var rules = []rule{
	{
		name:    "cdc is vocabulary",
		from:    is("cdc"),
		forbids: func(_ string, i imported) bool { return !i.standard() },
		why:     "everybody imports cdc, so what it imports everybody depends on; only the standard library",
	},
	{
		name:    "sinks is vocabulary",
		from:    is("sinks"),
		forbids: func(_ string, i imported) bool { return !i.standard() && !i.is("cdc") },
		why:     "everybody on the side of delivery imports sinks; only the standard library and cdc",
	},
	{
		name:    "pgoutput is pure",
		from:    under("cdc/pgoutput"),
		forbids: func(_ string, i imported) bool { return !i.standard() && !i.is("cdc") },
		why:     "it makes Changes of bytes and is fuzzed; a connection or a library belongs to pgsource",
	},
	{
		name:    "capture does not know delivery",
		from:    under("cdc"),
		forbids: func(_ string, i imported) bool { return i.under("mapping", "sinks") },
		why:     "the log is complete whatever is made of it later (I1, I7); what needs both belongs to mapping or sinks",
	},
	{
		name:    "the source does not know the log engine",
		from:    under("cdc/pgsource", "cdc/pgoutput"),
		forbids: func(_ string, i imported) bool { return i.under("cdc/redislog", "cdc/kafkalog") },
		why:     "there are two engines behind one contract; wire brings source and log together",
	},
	{
		name: "a log engine knows neither the source nor the other",
		from: under("cdc/redislog", "cdc/kafkalog"),
		forbids: func(p string, i imported) bool {
			return i.under("cdc/pgsource", "cdc/pgoutput") || i.under("cdc/redislog", "cdc/kafkalog") && targetOf(i.path) != targetOf(p)
		},
		why: "an engine stores entries, wherever they come from; what both engines share belongs to cdc",
	},
	{
		name:    "mapping is in the middle",
		from:    under("mapping"),
		forbids: func(_ string, i imported) bool { return i.local && !i.is("cdc", "sinks") && !i.under("mapping") },
		why:     "a plan makes Records of Changes and runs offline; of ours it sees only the two vocabularies",
	},
	{
		name:    "targets do not know each other",
		from:    isTarget,
		forbids: func(p string, i imported) bool { return i.local && isTarget(i.path) && targetOf(i.path) != targetOf(p) },
		why:     "each can be read, changed and removed alone; what two of them share belongs to sinks or sinks/transport",
	},
	{
		name:    "targets do not know the engine",
		from:    func(p string) bool { return isTarget(p) || under(shared...)(p) },
		forbids: func(_ string, i imported) bool { return i.under(engine...) || i.under("mapping") },
		why:     "a target encodes, sends and reads results; order, retry and state are decided outside of it, by the contract in sinks",
	},
	{
		name:    "the engine does not know targets",
		from:    func(p string) bool { return under(engine...)(p) || strings.HasPrefix(p, "sinks/") && isTestSuite(p) },
		forbids: func(_ string, i imported) bool { return i.local && isTarget(i.path) },
		why:     "the engine must serve a target that is not written yet; it speaks to the contract in sinks",
	},
	{
		name:    "what targets share knows none of them",
		from:    under(shared...),
		forbids: func(_ string, i imported) bool { return i.local && isTarget(i.path) },
		why:     "it serves a target that is not written yet",
	},
	{
		name:    "only wire knows everything",
		from:    func(p string) bool { return under("cmd")(p) && !under(wire, vendors)(p) },
		forbids: func(_ string, i imported) bool { return knowsDependency(i) },
		why:     "commands speak to wire and to vocabulary, so that the graph of parts is in one place (sinks/sandbox is free: it serves)",
	},
	{
		name:    "the product does not know its tests",
		from:    func(p string) bool { return !under("test")(p) },
		forbids: func(p string, i imported) bool { return i.under("test") && !(under(demo)(p) && i.is("test/servers")) },
		why:     "only the demo starts throw-away servers; nothing else of the product does",
	},
	{
		name:    "libraries do not know commands",
		from:    func(p string) bool { return !under("cmd", "test")(p) },
		forbids: func(_ string, i imported) bool { return i.under("cmd") },
		why:     "the parts can be used by another program",
	},
	{
		name:    "testing stays in tests",
		from:    func(p string) bool { return !isTestSuite(p) },
		forbids: func(_ string, i imported) bool { return i.path == "testing" || i.local && isTestSuite(i.path) },
		why:     "it would put test code and test flags into the program; a package for tests has a name that ends in test",
	},
}

// knowsDependency tells whether a package speaks to a database, a log or a
// target, or runs the delivery to one.
func knowsDependency(i imported) bool {
	if i.is("cdc", "sinks") || i.under("sinks/sandbox") {
		return false
	}
	return i.under("cdc", "sinks")
}

// checkImports finds imports that a rule forbids. Tests are free.
func checkImports(t *tree) (found []problem) {
	for _, p := range t.packages {
		for _, f := range p.files {
			for _, spec := range f.ast.Imports {
				text, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					found = append(found, problem{t.at(f, spec.Pos()), "an import path that is no string"})
					continue
				}
				i := t.importOf(text)
				for _, r := range rules {
					if r.from(p.path) && r.forbids(p.path, i) {
						found = append(found, problem{t.at(f, spec.Pos()),
							fmt.Sprintf("%s must not import %s (%s): %s", p.path, i.path, r.name, r.why)})
					}
				}
			}
		}
	}
	return found
}

// importOf tells our packages from others.
func (t *tree) importOf(text string) imported {
	if text == t.module {
		return imported{path: ".", local: true}
	}
	if rest, ok := strings.CutPrefix(text, t.module+"/"); ok {
		return imported{path: rest, local: true}
	}
	return imported{path: text}
}
