package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/console"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

func peekCommand() *cobra.Command {
	var file string
	var q wire.PeekRequest
	var asJSON bool
	c := &cobra.Command{
		Use:   "peek TARGET",
		Short: "Show what waits for a target, and why",
		Long: `Show the queue of a target: what of each lane is in it, and the first rows that wait, each
with what it waits for: its turn, its quiet time, a back-off and the error before it, a
record that it refers to, a row that has its target key, an answer of the target.

The queue is in the memory of the processes that deliver to the target, which are asked at
the addresses that they tell in Redis, or at --at. Whoever may use the log in Redis may
ask. If no process answers, what Redis alone tells is shown, and the exit status is 1.`,
		Example: `  walbridge peek crm
  walbridge peek crm --mapping deals-to-crm --key 17 --values
  walbridge peek crm --lane urgent --limit 100 --json
  walbridge peek crm --at 10.0.0.7:8642 --at 10.0.0.8:8642`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{errors.New("name one target: walbridge peek TARGET; walbridge target list shows them")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Target = args[0]
			if q.Lane != "" && !slices.Contains(cdc.Lanes(), q.Lane) {
				return &usageError{fmt.Errorf("--lane %s: there are the lanes %s", q.Lane, strings.Join(cdc.Lanes(), ", "))}
			}
			if q.Limit < 0 || q.Limit > console.MaxPeekKeys {
				return &usageError{fmt.Errorf("--limit %d: write a number from 0 to %d", q.Limit, console.MaxPeekKeys)}
			}
			return peek(cmd.Context(), cmd.OutOrStdout(), file, q, asJSON)
		},
	}
	f := c.Flags()
	f.StringVarP(&file, "config", "c", "walbridge.yaml", "the configuration file")
	f.StringVar(&q.Mapping, "mapping", "", "only rows of this mapping")
	f.StringVar(&q.Key, "key", "", "only the row of this key: the value of a key of one column, or a JSON object")
	f.StringVar(&q.Lane, "lane", "", "only what is in this lane: "+strings.Join(cdc.Lanes(), ", "))
	f.IntVar(&q.Limit, "limit", 20, fmt.Sprintf("how many rows to show, at most %d", console.MaxPeekKeys))
	f.BoolVar(&q.Values, "values", false, "show what the changes of a row come to, with its values")
	f.StringSliceVar(&q.Addresses, "at", nil, "the address of a process's console, host:port (default those that the workers tell)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func peek(ctx context.Context, out io.Writer, file string, q wire.PeekRequest, asJSON bool) error {
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	r, err := wire.Peek(ctx, cfg, slog.New(slog.DiscardHandler), q)
	if err != nil {
		return err
	}
	if q.Mapping != "" && (r.Queue == nil || r.Queue.Matching == 0) { // a process may have older files
		if err := wire.MappingKnown(cfg, q.Target, q.Mapping); err != nil {
			return err
		}
	}
	if asJSON {
		err = writeJSON(out, r)
	} else {
		err = writePeek(out, r, &q)
	}
	if err == nil && r.Queue == nil {
		err = errProblems
	}
	return err
}

// writePeek writes a report for people.
func writePeek(out io.Writer, r *wire.PeekReport, q *wire.PeekRequest) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0) // errors come with Flush
	if r.Queue == nil {
		writeNoQueue(w, r)
	} else {
		writeQueueHead(w, r.Queue)
	}
	writePeekLanes(w, r)
	fmt.Fprintf(w, "%d wait aside, %s\n", r.Target.Deferred, wire.Letters(r.Target.DeadLetters))
	if r.Queue != nil {
		writeKeys(w, r.Queue, q)
	}
	return w.Flush()
}

// writeNoQueue says that no process has the queue, and what to do.
func writeNoQueue(w io.Writer, r *wire.PeekReport) {
	fmt.Fprintf(w, "target %s: no process shows its queue; what Redis tells:\n", r.Target.Name)
	for _, p := range r.Processes {
		switch p.State {
		case console.QueueElse:
			fmt.Fprintf(w, "  %s: it has no partitions of the target: other processes have them\n", p.Address)
		case console.QueueYet:
			fmt.Fprintf(w, "  %s: its delivery to the target is about to begin\n", p.Address)
		default:
			fmt.Fprintf(w, "  %s: %s\n", p.Address, p.Error)
		}
	}
	switch owner := r.Target.Owner; {
	case owner != "" && len(r.Processes) == 0:
		fmt.Fprintf(w, "  hint: %s delivers to it; listen is off in the configuration: set it, or name the address of its console by --at\n", owner)
	case owner != "":
		fmt.Fprintf(w, "  hint: %s delivers to it; if that is on another machine, or has another listen, name the address of its console by --at\n", owner)
	default:
		fmt.Fprintln(w, "  hint: no process delivers to it: start walbridge run, or walbridge deliver")
	}
}

func writeQueueHead(w io.Writer, q *console.Queue) {
	fmt.Fprintf(w, "target %s, in %s\n", q.Target, q.Owner)
	switch {
	case q.Now.Before(q.PausedUntil):
		fmt.Fprintf(w, "  paused for %s: %s\n", ahead(q.Now, q.PausedUntil), q.Why)
	case q.Why != "":
		fmt.Fprintf(w, "  one request probes it, as the last ones failed: %s\n", q.Why)
	}
	for _, why := range q.Holds {
		fmt.Fprintf(w, "  not all is sent yet: %s\n", why)
	}
	for _, m := range q.Mappings {
		fmt.Fprintf(w, "  mapping %s is paused for %s: %s\n", m.Mapping, ahead(q.Now, m.PausedUntil), m.Why)
	}
}

// writePeekLanes writes what is in the queue of each lane, and in the log.
func writePeekLanes(w io.Writer, r *wire.PeekReport) {
	fmt.Fprint(w, "LANE\tTO DO IN THE LOG\tOLDEST")
	if r.Queue != nil {
		fmt.Fprint(w, "\tROWS IN THE QUEUE\tCHANGES\tBYTES")
	}
	fmt.Fprintln(w)
	for _, l := range r.Target.Lanes {
		more, age := "", "-"
		if l.More {
			more = " or more"
		}
		if l.Entries > 0 {
			age = seconds(l.Seconds)
		}
		fmt.Fprintf(w, "%s\t%d%s\t%s", l.Lane, l.Entries, more, age)
		if r.Queue != nil {
			for _, in := range r.Queue.Lanes {
				if in.Lane == l.Lane {
					fmt.Fprintf(w, "\t%d\t%d\t%s", in.Keys, in.Entries, size(in.Bytes))
				}
			}
		}
		fmt.Fprintln(w)
	}
}

func writeKeys(w io.Writer, q *console.Queue, asked *wire.PeekRequest) {
	if q.Matching == 0 {
		switch {
		case asked.Mapping+asked.Key+asked.Lane == "":
			fmt.Fprintln(w, "nothing waits")
		default:
			fmt.Fprintln(w, "nothing of that waits")
		}
		return
	}
	if len(q.Keys) > 0 {
		head := "\nMAPPING\tKEY\tLANE\tCHANGES\tPOSITION\tOLDEST\tTRIES\tWAITS"
		if asked.Values {
			head += "\tROW"
		}
		fmt.Fprintln(w, head)
	}
	for i := range q.Keys {
		k := &q.Keys[i]
		changes := fmt.Sprint(k.Changes)
		switch {
		case k.Changes == 0 && k.More == 0:
			changes = "-"
		case k.Changes == 0:
			changes = fmt.Sprintf("and %d more", k.More)
		case k.More > 0:
			changes += fmt.Sprintf(" and %d more", k.More)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s%s\n", k.Mapping, k.Key, orDash(k.Lane), changes, orDash(k.Position), since(q.Now, k.Oldest), k.Attempts, waits(q, k), rowOf(k))
	}
	if left := q.Matching - len(q.Keys); left > 0 {
		fmt.Fprintf(w, "and %d more rows; --limit shows more, --mapping, --key and --lane choose\n", left)
	}
}

// rowOf is what the changes of a row come to, as a last column; empty if that is not told.
func rowOf(k *console.QueueKey) string {
	if k.Op == "" {
		return ""
	}
	text := fmt.Sprintf("\t%s %s", wire.OpWord(k.Op), k.Row)
	if len(k.Absent) > 0 {
		text += "  absent: " + strings.Join(k.Absent, ", ")
	}
	return text
}

// waits says what a row waits for.
func waits(q *console.Queue, k *console.QueueKey) string {
	text := k.Stage
	switch k.Stage {
	case console.StageInFlight:
		text = "for the answer, since " + seconds(max(0, q.Now.Sub(k.Since).Seconds()))
		if k.Job {
			text = "for a job of the target, since " + seconds(max(0, q.Now.Sub(k.Since).Seconds()))
		}
	case console.StageReady:
		text = waitsReady(q, k)
	case console.StageHeld:
		text = "for its partition, of which not all is sent yet"
	case console.StageGathering:
		text = "for others, to go with them in a job, at most " + ahead(q.Now, k.Until)
	case console.StageQuiet:
		text = "for its row to rest, at most " + ahead(q.Now, k.Until)
	case console.StageBackOff:
		text = "back-off, " + ahead(q.Now, k.Until)
	case console.StageAwaiting:
		text = "for another row, at most " + ahead(q.Now, k.Until)
	case console.StageLeaving:
		text = "to be put aside"
	case console.StageReturning:
		text = "to be read back from aside"
	case console.StageAside:
		text = "aside, for " + ahead(q.Now, k.Until)
	}
	for _, list := range []struct {
		what string
		rows []console.QueueRow
	}{{"refers to", k.Parents}, {"its target key is of", k.Rivals}} {
		for i, r := range list.rows {
			if i == 3 {
				text += fmt.Sprintf(", and %d more", len(list.rows)-i)
				break
			}
			text += fmt.Sprintf("; %s %s %s", list.what, r.Mapping, r.Key)
		}
	}
	if k.Error != "" {
		text += "; after: " + k.Error
	}
	return text
}

// waitsReady says what keeps a row from being sent that could be.
func waitsReady(q *console.Queue, k *console.QueueKey) string {
	for _, m := range q.Mappings {
		if m.Mapping == k.Mapping {
			return "for its mapping, which is paused"
		}
	}
	if q.Now.Before(q.PausedUntil) {
		return "for the target, which is paused"
	}
	return "for its turn"
}

// ahead writes how long it is until a moment.
func ahead(now, t time.Time) string { return seconds(max(0, t.Sub(now).Seconds())) }

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
