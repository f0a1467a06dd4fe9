package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

func traceCommand() *cobra.Command {
	var file string
	var r wire.TraceRequest
	var asJSON bool
	c := &cobra.Command{
		Use:   "trace TABLE KEY",
		Short: "Tell the story of one record: its changes, requests and answers, and how it stands",
		Long: `Tell the story of one record, for each mapping that leads from its table: which changes of
it were committed, into which request they were folded, what the target answered, what
waits and why, and how it stands now. The newest is last.

The changes are those that the log still has (redis.retention); what became of them is from
a history of bounded size (delivery.trace), which may have gaps. How far both go back is
said. Names of columns are printed, and values only with --values: of the row, of its key
at the target, and the target's own words, which may quote it.

TABLE is a name, or schema.name. KEY is the value of the key, id=42, a=1,b=2, or a JSON
object of the key's columns.`,
		Example: `  walbridge trace deals 42
  walbridge trace deals 42 --target crm --values
  walbridge trace crm.line_items order_id=7,line=2 --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return &usageError{errors.New("name a table and the key of a row: walbridge trace TABLE KEY, such as walbridge trace deals 42")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.Limit < 0 {
				return &usageError{fmt.Errorf("--limit %d: it is a number of lines, 0 for all", r.Limit)}
			}
			r.Table, r.Key = args[0], args[1]
			cfg, err := config.Load(file, os.LookupEnv)
			if err != nil {
				return err
			}
			report, err := wire.Trace(cmd.Context(), cfg, slog.New(slog.DiscardHandler), r)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), report)
			}
			return writeTrace(cmd.OutOrStdout(), report)
		},
	}
	f := c.Flags()
	f.StringVarP(&file, "config", "c", "walbridge.yaml", "the configuration file")
	f.StringVar(&r.Target, "target", "", "only what became of it at this target")
	f.StringVar(&r.Mapping, "mapping", "", "only what became of it by this mapping")
	f.BoolVar(&r.Values, "values", false, "print the values of the row, and what may quote them")
	f.IntVar(&r.Limit, "limit", 50, "how many changes and steps of each mapping are printed at most, the newest; 0 for all")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// writeTrace writes the story for people.
func writeTrace(out io.Writer, r *wire.TraceReport) error {
	w := &lines{out: out}
	w.add("%s %s, partition %d", r.Table, r.Key, r.Partition)
	for _, text := range r.Reach() {
		w.add("  %s", text)
	}
	if len(r.Targets) == 0 {
		w.add("\nno mapping leads from this table; in the log is")
		writeEvents(w, r, &wire.TraceMapping{})
	}
	for i := range r.Targets {
		m := &r.Targets[i]
		w.add("\n%s, mapping %s to %s", m.Target, m.Mapping, m.Object)
		for _, text := range m.Reach() {
			w.add("  %s", text)
		}
		writeEvents(w, r, m)
		for n, text := range m.Words(r.Now) {
			head := ""
			if n == 0 {
				head = "now"
			}
			w.add("  %-24s  %s", head, text)
		}
	}
	return w.err
}

func writeEvents(w *lines, r *wire.TraceReport, m *wire.TraceMapping) {
	for _, e := range r.Events(m) {
		if c := e.Change; c != nil {
			w.add("  %s  %-8s  %s", e.Time().UTC().Format(momentForm), "change", changeLine(c))
			continue
		}
		w.add("  %s  %-8s  %s", e.Time().UTC().Format(momentForm), e.Step.Label(), e.Step.Words())
	}
}

// momentForm is a time to the millisecond.
const momentForm = "2006-01-02T15:04:05.000Z07:00"

// lines writes lines until one cannot be written.
type lines struct {
	out io.Writer
	err error
}

func (l *lines) add(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.out, format+"\n", args...)
	}
}

// changeLine says what a change was.
func changeLine(c *wire.TraceChange) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s", opWords[c.Op], c.Position)
	if c.LSN != "" {
		fmt.Fprintf(&b, " (LSN %s)", c.LSN)
	}
	fmt.Fprintf(&b, ", %s, transaction %d", c.Lane, c.XID)
	if c.Since != "" {
		fmt.Fprintf(&b, ", of rows that nothing was heard of since %s", c.Since)
	}
	columns := ""
	if c.Compared {
		if columns = "changed: "; len(c.Columns) == 0 {
			b.WriteString("; no value that was sent is another")
		}
	}
	for _, part := range []struct {
		name string
		list []string
	}{{columns, c.Columns}, {"absent: ", c.Absent}, {"for: ", c.For}} {
		if len(part.list) > 0 {
			fmt.Fprintf(&b, "; %s%s", part.name, strings.Join(someNames(part.list), ", "))
		}
	}
	for _, part := range []struct {
		name string
		text json.RawMessage
	}{{"before", c.Before}, {"after", c.After}} {
		if len(part.text) > 0 {
			fmt.Fprintf(&b, "\n%s%-6s  %s", strings.Repeat(" ", 38), part.name, part.text)
		}
	}
	return b.String()
}
