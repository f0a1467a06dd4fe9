package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/mapping/yamldoc"
)

var keysOfFile = []string{"name", "postgres", "redis", "mappings", "targets", "delivery", "listen", "log"}

// Load reads a configuration file, follows its references, fills in defaults and
// validates. getenv is os.LookupEnv but for tests. The error is of type Errors.
func Load(path string, getenv func(string) (string, bool)) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, Errors{{File: path, Msg: "cannot be read: " + err.Error(), Hint: "name the configuration with -c"}}
	}
	return parse(path, data, getenv)
}

func parse(path string, data []byte, getenv func(string) (string, bool)) (*Config, error) {
	doc, err := yamldoc.Parse(path, data, false) // excerpts could show a password
	if err != nil {
		return nil, err
	}
	switch {
	case doc.Root.Kind == yamldoc.Null && doc.Err() == nil:
		doc.Fail(nil, "the file is empty", "", "a configuration needs postgres, redis, mappings and targets")
		return nil, doc.Err()
	case doc.Root.Kind != yamldoc.Map:
		doc.Section(doc.Root, keysOfFile...)
		return nil, doc.Err()
	}
	l := &loader{doc: doc, dir: filepath.Dir(path)}
	doc.Root.Walk(func(n *yamldoc.Node) { doc.ExpandEnv(n, getenv) })
	c := Default()
	c.Dir = l.dir
	c.Postgres.Slot, c.Postgres.Publication = "", ""
	l.config(c)
	c.derive()
	l.place(c.Validate())
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

type loader struct {
	doc *yamldoc.Doc
	dir string
}

// place gives the mistakes of Validate their places in the file. A value that
// was not read at all is told once only.
func (l *loader) place(err error) {
	var errs Errors
	if !errors.As(err, &errs) {
		return
	}
	for _, e := range errs {
		if l.doc.Failed(e.Path) {
			continue
		}
		at := nearestTo(l.doc.Root, e.Path)
		value := e.Value
		if at.Expanded {
			value = at.Written
		}
		l.doc.Fail(&yamldoc.Node{Line: at.Line, Column: at.Column, Path: e.Path}, e.Msg, value, e.Hint)
	}
}

func (l *loader) config(c *Config) {
	s := l.doc.Section(l.doc.Root, keysOfFile...)
	s.Text("name", &c.Name)
	l.postgres(s.Node("postgres"), &c.Postgres)
	l.redis(s.Node("redis"), &c.Redis)
	s.Texts("mappings", &c.Mappings)
	l.targets(s.Node("targets"), c)
	l.delivery(s.Node("delivery"), &c.Delivery)
	s.Text("listen", &c.Listen)
	log := l.doc.Section(s.Node("log"), "level", "format")
	log.Text("level", &c.Log.Level)
	log.Text("format", &c.Log.Format)
}

func (l *loader) postgres(n *yamldoc.Node, p *Postgres) {
	s := l.doc.Section(n, "url", "slot", "publication", "heartbeat", "wal_budget", "on_loss")
	l.secret(s.Node("url"), &p.URL)
	s.Text("slot", &p.Slot)
	s.Text("publication", &p.Publication)
	s.Duration("heartbeat", &p.Heartbeat)
	l.size(s.Node("wal_budget"), &p.WALBudget, "10GiB")
	s.Text("on_loss", &p.OnLoss)
}

func (l *loader) delivery(n *yamldoc.Node, d *Delivery) {
	s := l.doc.Section(n, "lease", "queue_entries", "queue_bytes", "floor", "shutdown", "dead_letters", "hold", "deferred", "parents", "trace")
	s.Duration("lease", &d.Lease)
	s.Int("queue_entries", &d.QueueEntries)
	s.Duration("shutdown", &d.Shutdown)
	l.size(s.Node("queue_bytes"), &d.QueueBytes, "128MiB")
	l.percent(s.Node("floor"), &d.Floor, "10%")
	dead := l.doc.Section(s.Node("dead_letters"), "count", "age")
	dead.Int("count", &d.DeadLetters.Count)
	dead.Duration("age", &d.DeadLetters.Age)
	s.Duration("hold", &d.Hold)
	l.doc.Section(s.Node("deferred"), "count").Int("count", &d.Deferred.Count)
	l.doc.Section(s.Node("parents"), "wait").Duration("wait", &d.Parents.Wait)
	l.size(l.doc.Section(s.Node("trace"), "bytes").Node("bytes"), &d.Trace.Bytes, "16MiB")
}

// size reads a number of bytes.
func (l *loader) size(n *yamldoc.Node, dst *int64, example string) {
	if n == nil {
		return
	}
	size, err := ParseSize(n.Text)
	if err != nil || n.Kind == yamldoc.Map || n.Kind == yamldoc.List {
		l.doc.Fail(n, "not a size", n.Shown(), "write a number with a unit, such as "+example)
		return
	}
	*dst = size
}

// ParseSize reads a number of bytes with a unit: B, KB, MB, GB by thousands,
// KiB, MiB, GiB by 1024.
func ParseSize(text string) (int64, error) {
	units := []struct {
		name string
		size int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.size {
			return 0, fmt.Errorf("parse size %q: want a whole number before %s", text, u.name)
		}
		return n * u.size, nil
	}
	names := make([]string, len(units))
	for i, u := range units {
		names[i] = u.name
	}
	return 0, fmt.Errorf("parse size %q: want a unit, one of %s", text, nearest.List(names))
}
