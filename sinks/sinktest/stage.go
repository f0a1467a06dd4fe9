package sinktest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// private is in every secret and in every value of the records, so that nothing with it may
// be shown.
const private = "pr1vate"

const secret = private + "-secret"

// patience bounds what a check waits for, which takes moments on an idle machine. Only the
// tests of the suite itself, where waits are in vain, change it.
var patience = 30 * time.Second

// stage is what one check works on.
type stage struct {
	testing.TB
	s      *Subject
	server Server
	wire   *wire  // of a Handler
	relay  *relay // of an Address
	notes  *Notes
	target sinks.Target
	closes []func()
	lsn    uint64
	// newest has the highest Position that was taken, or may have been, by key.
	newest map[string]cdc.Position
}

func setUp(tb testing.TB, s *Subject, server Server) *stage {
	tb.Helper()
	st := &stage{TB: tb, s: s, server: server, notes: NewNotes(), newest: make(map[string]cdc.Position)}
	if server.Handler != nil {
		st.wire = newWire(server.Handler, s.Carries)
	} else {
		st.relay = newRelay(tb, server.Address)
	}
	tb.Cleanup(st.close)
	st.target = st.make(st.site())
	return st
}

// site is where the server is found.
func (st *stage) site() Site {
	site := Site{Secret: secret, Timeout: time.Minute}
	if st.wire != nil {
		site.Address = st.wire.http.Listener.Addr().String()
		site.URL = st.wire.http.URL
	} else {
		site.Address = st.relay.address()
	}
	return site
}

// make makes a target that lives until the end of the stage.
func (st *stage) make(site Site) sinks.Target {
	st.Helper()
	target := st.s.Make(st.TB, site)
	if target == nil {
		st.Fatalf("Make made no target")
	}
	st.closes = append(st.closes, func() { closeTarget(st.TB, target) })
	if n, ok := target.(sinks.NoteTaker); ok {
		n.TakeNotes(st.notes)
	}
	return target
}

func closeTarget(tb testing.TB, target sinks.Target) {
	switch c := target.(type) {
	case interface{ Close() }:
		c.Close()
	case interface{ Close() error }:
		if err := c.Close(); err != nil {
			tb.Errorf("close target: %v", err)
		}
	}
}

// close ends the targets, and then the wire; once.
func (st *stage) close() {
	for _, f := range st.closes {
		f()
	}
	st.closes = nil
	if st.wire != nil {
		st.wire.close()
	} else {
		st.relay.close()
	}
}

// next gives a Position above all that were given.
func (st *stage) next() cdc.Position {
	st.lsn++
	return cdc.Position{LSN: cdc.LSN(st.lsn), Ordinal: 2}
}

// text makes a value for the text field, which must not be shown.
func text(s string) json.RawMessage { return quote(private + " " + s) }

func quote(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always has a JSON
	}
	return b
}

// named makes the key of the usual records.
func named(name string) string { return private + "-" + name }

// record makes one with the key and the operation, without fields.
func (st *stage) record(op sinks.Op, key string) sinks.Record {
	return sinks.Record{Mapping: "sinktest", Source: string(quote(key)), Object: st.s.Object, Op: op,
		Key: sinks.Field{Name: st.s.Key, Value: quote(key)}, Position: st.next()}
}

// upsert makes one with a text.
func (st *stage) upsert(key, value string) sinks.Record {
	r := st.record(sinks.Upsert, key)
	r.Fields = append(r.Fields, st.s.Also...)
	r.Fields = append(r.Fields, sinks.Field{Name: st.s.Text, Value: text(value)})
	return r
}

// with gives a record another value of one field.
func with(r sinks.Record, name, value string) sinks.Record {
	fields := make([]sinks.Field, 0, len(r.Fields)+1)
	for _, f := range r.Fields {
		if f.Name != name {
			fields = append(fields, f)
		}
	}
	r.Fields = append(fields, sinks.Field{Name: name, Value: json.RawMessage(value)})
	return r
}

// several makes some records.
func (st *stage) several(n int, value string) (rs []sinks.Record) {
	for i := range n {
		rs = append(rs, st.upsert(named(fmt.Sprintf("%03d", i)), value))
	}
	return rs
}

// deliver sends records and gives what was said of each; the answer is held against what the
// server holds.
func (st *stage) deliver(records ...sinks.Record) []sinks.Result {
	st.Helper()
	return st.deliverBy(st.Context(), st.target, records...)
}

func (st *stage) deliverBy(ctx context.Context, target sinks.Target, records ...sinks.Record) []sinks.Result {
	st.Helper()
	before := st.held()
	rs := st.send(ctx, target, records...)
	after := st.held()
	for i := range records {
		st.truth(&records[i], rs[i].Err, before, after)
	}
	return rs
}

// send delivers, and looks at the form of what was said only.
func (st *stage) send(ctx context.Context, target sinks.Target, records ...sinks.Record) []sinks.Result {
	st.Helper()
	start := time.Now()
	rs, err := target.Deliver(ctx, sinks.Batch{Object: st.s.Object, Records: records})
	if took := time.Since(start); took > 2*patience {
		st.Errorf("Deliver took %v", took)
	}
	if err != nil {
		if len(rs) != 0 {
			st.Errorf("Deliver gave %d results and an error, and want one of the two", len(rs))
		}
		rs = make([]sinks.Result, len(records))
		for i := range rs {
			rs[i].Err = err
		}
	}
	if len(rs) != len(records) {
		st.Fatalf("Deliver gave %d results for %d records", len(rs), len(records))
	}
	for i := range rs {
		st.lookAt(rs[i].Err)
	}
	return rs
}

// lookAt tells what is wrong with an error as such.
func (st *stage) lookAt(err error) {
	st.Helper()
	if err == nil {
		return
	}
	if kindOf(err) == other {
		st.Errorf("the error %v is of no kind of package sinks", err)
	}
	for _, shown := range []string{err.Error(), fmt.Sprintf("%+v", err), sinks.Code(err)} {
		if strings.Contains(shown, private) {
			st.Errorf("a row value or a secret is in the error %q (I14)", shown)
			return
		}
	}
}

// truth holds what was said of a record against what the server holds.
func (st *stage) truth(r *sinks.Record, err error, before, after state) {
	st.Helper()
	key := sinks.ExactKey(r.Key.Value)
	held, found := after[key]
	stale := st.abilities().Ordered && r.Position.Before(st.newest[key])
	if (err == nil || sinks.Unknown(err)) && st.newest[key].Before(r.Position) {
		st.newest[key] = r.Position
	}
	switch {
	case err == nil && stale:
		if !sameState(before[key], held) {
			st.Errorf("an older state of %q has taken the place of a newer one (I4)", key)
		}
	case err == nil && r.Op == sinks.Upsert && !found:
		st.Errorf("the upsert of %q counts as delivered, and the server does not have it", key)
	case err == nil && r.Op == sinks.Upsert:
		for _, f := range r.Fields {
			if !same(held[f.Name], f.Value) {
				st.Errorf("%q counts as delivered, and its %s is %s at the server, want %s", key, f.Name, show(held[f.Name]), show(f.Value))
			}
		}
	case err == nil && found:
		st.Errorf("the %s of %q counts as delivered, and the server still has it", r.Op, key)
	case err != nil && !sinks.Unknown(err) && !sameState(before[key], held):
		st.Errorf("%q failed without doubt (%s: %v), and yet the server has another state of it", key, kindOf(err), err)
	}
}

// state is what a server holds of an object.
type state map[string]map[string]json.RawMessage

// held asks the server.
func (st *stage) held() state { return maps.Clone(st.server.Held(st.s.Object)) }

func (st *stage) abilities() sinks.Abilities { return sinks.AbilitiesOf(st.target, st.s.Object) }

// want tells what is not of one of the kinds.
func (st *stage) want(what string, rs []sinks.Result, kinds ...kind) {
	st.Helper()
	for i := range rs {
		if !kindOf(rs[i].Err).in(kinds) {
			st.Errorf("%s: record %d is %s (%v), want %v", what, i, kindOf(rs[i].Err), rs[i].Err, kinds)
			return
		}
	}
}

// must delivers what has to be taken.
func (st *stage) must(what string, records ...sinks.Record) {
	st.Helper()
	st.want(what, st.deliver(records...), delivered)
}

// heals tells whether the same records, and then new states of them, are taken once nothing is
// in the way any more, and each is there once.
func (st *stage) heals(what string, records ...sinks.Record) {
	st.Helper()
	st.must(what+", once more", records...)
	newer := make([]sinks.Record, len(records))
	for i, r := range records {
		newer[i] = st.upsert(sinks.ExactKey(r.Key.Value), "newer")
	}
	st.must(what+", newer", newer...)
	if held := st.held(); len(held) != len(records) {
		st.Errorf("%s: the server holds %d records, want %d: a repeat must not make another one (I9)", what, len(held), len(records))
	}
}
