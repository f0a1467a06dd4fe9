package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// entry is an entry of the log, as any client reads it.
type entry struct {
	at     cdc.Position
	lane   string
	part   int
	fact   fact
	after  map[string]json.RawMessage // nil if there is none
	absent []string
}

// readLog reads all streams, each in its order. findings are entries that do not
// keep the public contract, and streams that rise not.
func (b *bridge) readLog() (all []entry, findings []string) {
	b.t.Helper()
	expected := map[string]bool{}
	for part := range partitions {
		for _, lane := range cdc.Lanes() {
			key := b.streamKey(part, lane)
			expected[key] = true
			list, err := readStream(b.rdb, key)
			if err != nil {
				b.t.Fatalf("read %s: %v", key, err)
			}
			stream := make([]entry, 0, len(list))
			for _, m := range list {
				e, err := parseEntry(m)
				if err != nil {
					findings = append(findings, fmt.Sprintf("%s %s: %v", key, m.ID, err))
					continue
				}
				e.lane, e.part = lane, part
				stream = append(stream, e)
			}
			findings = append(findings, checkRises(key, stream)...)
			all = append(all, stream...)
		}
	}
	keys, err := b.rdb.Keys(context.Background(), fmt.Sprintf("walbridge:{%s:*:log:*", b.name)).Result()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, k := range keys {
		if !expected[k] {
			findings = append(findings, "a stream that should not be: "+k)
		}
	}
	return all, findings
}

// readStream reads a stream in pages.
func readStream(rdb *redis.Client, key string) (all []redis.XMessage, err error) {
	const page = 1000
	for from := "-"; ; {
		list, err := rdb.XRangeN(context.Background(), key, from, "+", page).Result()
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
		if len(list) < page {
			return all, nil
		}
		from = "(" + list[len(list)-1].ID
	}
}

// parseEntry reads an entry by docs/events.md.
func parseEntry(m redis.XMessage) (e entry, err error) {
	field := func(name string) string { s, _ := m.Values[name].(string); return s }
	if e.at, err = cdc.ParsePosition(m.ID); err != nil {
		return e, err
	}
	e.fact.op, e.fact.table = field("op"), field("table")
	if e.fact.ts, err = strconv.ParseInt(field("ts"), 10, 64); err != nil {
		return e, fmt.Errorf("ts: %w", err)
	}
	xid, err := strconv.ParseUint(field("xid"), 10, 64)
	if err != nil {
		return e, fmt.Errorf("xid: %w", err)
	}
	e.fact.xid = uint32(xid)
	var key map[string]json.RawMessage
	if err := json.Unmarshal([]byte(field("key")), &key); err != nil {
		return e, fmt.Errorf("key: %w", err)
	}
	texts := map[string]string{}
	for name, v := range key {
		texts[name] = string(v)
		var s string
		if json.Unmarshal(v, &s) == nil {
			texts[name] = s
		}
	}
	e.fact.key = keyText(texts)
	if s := field("after"); s != "" {
		if err := json.Unmarshal([]byte(s), &e.after); err != nil {
			return e, fmt.Errorf("after: %w", err)
		}
	}
	if s := field("absent"); s != "" {
		if err := json.Unmarshal([]byte(s), &e.absent); err != nil {
			return e, fmt.Errorf("absent: %w", err)
		}
	}
	if (e.after == nil) != (e.fact.op == "d") {
		return e, fmt.Errorf("op %s with after %v", e.fact.op, e.after != nil)
	}
	return e, nil
}

// checkRises finds places where a stream does not rise.
func checkRises(key string, stream []entry) (findings []string) {
	for i := 1; i < len(stream); i++ {
		if !stream[i-1].at.Before(stream[i].at) {
			findings = append(findings, fmt.Sprintf("%s: %v after %v", key, stream[i].at, stream[i-1].at))
		}
	}
	return findings
}

// checkFacts holds the log against the witness (I1, I2): the same Positions,
// each once, and the same of each; and every key in one partition.
func checkFacts(want facts, all []entry) (findings []string) {
	seen := map[cdc.Position]entry{}
	home := map[string]int{}
	for _, e := range all {
		if other, twice := seen[e.at]; twice {
			findings = append(findings, fmt.Sprintf("twice: %v in %s/%d and %s/%d", e.at, other.lane, other.part, e.lane, e.part))
		}
		seen[e.at] = e
		f, ok := want[e.at]
		switch {
		case e.fact.op == "r" && (ok || e.lane != cdc.LaneBulk):
			findings = append(findings, fmt.Sprintf("a row that was read stands at %v in lane %s, where the source has a change: %v", e.at, e.lane, ok))
		case e.fact.op == "r": // read by a backfill, which no change of the source is
		case !ok:
			findings = append(findings, fmt.Sprintf("not of the source: %v %+v", e.at, e.fact))
		case f != e.fact:
			findings = append(findings, fmt.Sprintf("%v says %+v, the source %+v", e.at, e.fact, f))
		}
		row := e.fact.table + " " + e.fact.key
		if p, ok := home[row]; ok && p != e.part {
			findings = append(findings, fmt.Sprintf("%s is in partitions %d and %d", row, p, e.part))
		}
		home[row] = e.part
	}
	for _, at := range slices.SortedFunc(maps.Keys(want), cdc.Position.Compare) {
		if _, ok := seen[at]; !ok {
			findings = append(findings, fmt.Sprintf("missing: %v %+v", at, want[at]))
		}
	}
	return findings
}

// rows are rows by table and key, as columns.
type rows map[string]map[string]json.RawMessage

// fold makes the tables of the log alone (I3): entries by Position; an absent
// column keeps what an older entry gave. The create half of a changed key takes
// it from the row that its delete half ended.
func fold(all []entry) (rows, []string) {
	var findings []string
	state := rows{}
	sorted := slices.SortedFunc(slices.Values(all), func(a, b entry) int { return a.at.Compare(b.at) })
	var ended map[string]json.RawMessage // the row that the entry before deleted
	var endedAt cdc.Position
	for _, e := range sorted {
		row := e.fact.table + " " + e.fact.key
		if e.fact.op == "d" {
			ended, endedAt = state[row], e.at
			delete(state, row)
			continue
		}
		older := state[row]
		endedAt.Ordinal++
		if e.fact.op == "c" {
			older = nil
			if e.at == endedAt && e.at.Ordinal%2 == 1 {
				older = ended
			}
		}
		endedAt = cdc.Position{}
		columns := maps.Clone(e.after)
		for _, name := range e.absent {
			v, ok := older[name]
			if !ok {
				findings = append(findings, fmt.Sprintf("%v: column %s of %s is absent and was never sent", e.at, name, row))
				continue
			}
			columns[name] = v
		}
		state[row] = columns
	}
	return state, findings
}

// laneCounts counts entries by lane, for the test's own words.
func laneCounts(all []entry) string {
	n := map[string]int{}
	for _, e := range all {
		n[e.lane]++
	}
	var words []string
	for _, lane := range cdc.Lanes() {
		words = append(words, fmt.Sprintf("%s %d", lane, n[lane]))
	}
	return strings.Join(words, ", ")
}
