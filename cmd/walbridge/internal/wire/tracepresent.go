package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/vendors"
	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/state"
	"github.com/walbridge/walbridge/sinks/targetkey"
	"github.com/walbridge/walbridge/sinks/trace"
)

// present reads how the record stands for a mapping.
func (t *tracer) present(ctx context.Context, at state.Place, m *TraceMapping) error {
	view := t.view(m.Target)
	known, err := view.Load(ctx, []state.Place{at})
	if err != nil {
		return err
	}
	k := known[0].Known
	m.Now = TraceNow{Known: !k.Seen.IsZero() || k.Live || k.Doubt, Seen: k.Seen, Live: k.Live, Doubt: k.Doubt,
		Lacking: k.Lacking, Hash: k.Payload != 0, Moved: len(k.Old) > 0}
	if err := known[0].Err; err != nil {
		m.Now.Unreadable = err.Error()
	}
	if t.r.Values && k.Key.Name != "" {
		if m.Now.TargetKey, err = json.Marshal(map[string]json.RawMessage{k.Key.Name: k.Key.Value}); err != nil {
			return fmt.Errorf("write target key: %w", err)
		}
	}
	if err := t.owner(ctx, at, k.Key, m); err != nil {
		return err
	}
	aside, err := view.Deferred(ctx, []state.Place{at})
	if err != nil {
		return err
	}
	if a := aside[0]; a.Err != nil {
		m.Now.Unreadable = a.Err.Error()
	} else if len(a.Entry) > 0 {
		m.Now.Aside = &TraceAside{Since: a.First.UTC(), Due: a.Due.UTC(), Waiting: a.Waiting}
		for _, p := range a.Parents {
			parent := TraceParent{Mapping: p.Mapping}
			if t.r.Values {
				parent.Key = raw(p.Source)
			}
			m.Now.Aside.Parents = append(m.Now.Aside.Parents, parent)
		}
	}
	box := deadletter.Box{Client: t.log.Client(), Keys: t.log.Keys(), Target: m.Target, Partitions: t.log.Partitions()}
	e, ok, err := box.Find(ctx, at.Partition, at.Key.Mapping, at.Key.Source)
	if err != nil || !ok {
		return err
	}
	if k.Key.Name == "" {
		if err := t.owner(ctx, at, refusedKey(e.Payload), m); err != nil {
			return err
		}
	}
	m.Now.Dead = &TraceDead{Time: e.Time, Position: e.Position, Code: e.Code, Error: e.Error, Attempts: e.Attempts}
	if t.r.Values {
		m.Now.Dead.Detail = e.Detail
		if json.Valid([]byte(e.Payload)) {
			m.Now.Dead.Payload = raw(e.Payload)
		}
	}
	return nil
}

// refusedKey is the target key of a record that was refused; none if there is no record.
func refusedKey(payload string) (f sinks.Field) {
	var rec struct{ Key map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(payload), &rec); err != nil || len(rec.Key) != 1 {
		return f
	}
	for name, value := range rec.Key {
		f = sinks.Field{Name: name, Value: value}
	}
	return f
}

// owner looks which row owns a target key.
func (t *tracer) owner(ctx context.Context, at state.Place, key sinks.Field, m *TraceMapping) error {
	cfg, ok := t.cfg.Target(m.Target)
	if !ok || key.Name == "" {
		return nil
	}
	client, err := vendors.Open(cfg, vendors.Stores{})
	if err != nil {
		return err
	}
	defer client.Close()
	folded := sinks.ExactKey(key.Value)
	if c, ok := sinks.As[sinks.Collation](client); ok && c.Folds() {
		folded = c.FoldKey(m.Object, key)
	}
	id := targetkey.Of(m.Object, key.Name, folded)
	entry, err := t.log.Client().HGet(ctx, t.log.Keys().TargetKeys(m.Target, id.Partition(t.log.Partitions())), string(id)).Result()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the owner of a target key: %w", err)
	}
	o, err := targetkey.OwnerOf(entry)
	if err != nil {
		return err
	}
	m.Now.Owner = &TraceOwner{Same: o.Mapping == at.Key.Mapping && o.Source == at.Key.Source, Mapping: o.Mapping, Leaves: !targetkey.Held(entry)}
	if t.r.Values {
		m.Now.Owner.Key = raw(o.Source)
	}
	return nil
}

// past reads the history of the record.
func (t *tracer) past(ctx context.Context, key string, partition int, m *TraceMapping) error {
	r := trace.Reader{Client: t.log.Client(), Keys: t.log.Keys(), Target: m.Target}
	reach, err := r.Read(ctx, partition, key, func(e trace.Entry) {
		if e.Mapping != m.Mapping {
			return
		}
		m.Steps = append(m.Steps, traceStep(&e))
		if e.Fate == trace.Accepted && e.Remote != "" {
			m.Now.RemoteID = e.Remote
		}
	})
	if err != nil {
		return err
	}
	m.History, m.HistoryBulk, m.Damaged = reach.Live, reach.Bulk, reach.Damaged
	sortSteps(m.Steps)
	if over := len(m.Steps) - t.r.Limit; t.r.Limit > 0 && over > 0 {
		m.Steps, m.Earlier = m.Steps[over:], over
	}
	return nil
}

// outstanding looks whether a change is not dealt with, and why that may be.
func (t *tracer) outstanding(ctx context.Context, report *TraceReport, m *TraceMapping) error {
	c := Report{Now: t.now}
	if err := c.target(ctx, t.log, m.Target); err != nil {
		return fmt.Errorf("target %s: %w", m.Target, err)
	}
	if err := c.circuit(ctx, t.cfg, t.log, &c.Targets[0]); err != nil {
		return fmt.Errorf("target %s: %w", m.Target, err)
	}
	switch of := &c.Targets[0]; {
	case of.Owner == "":
		m.Now.Condition = "no process delivers to it"
	case of.State != "running":
		m.Now.Condition = of.Condition(t.now)
	default:
		m.Now.Condition = of.Waits
	}
	for i := len(report.Changes) - 1; i >= 0; i-- {
		ch := &report.Changes[i]
		if !ch.Means(m.Target, m.Mapping) || ch.Op == cdc.OpSweep.String() || ch.Op == cdc.OpTruncate.String() && !m.Now.Known {
			continue
		}
		at, err := t.log.Checkpoint(ctx, cdc.Stream{Lane: ch.Lane, Partition: report.Partition}, m.Target)
		if err != nil {
			return err
		}
		if m.Now.Seen.Before(ch.Position) && at.Before(ch.Position) {
			m.Now.Newest, m.Now.Lane, m.Now.Read = ch.Position, ch.Lane, at
		}
		return nil
	}
	return nil
}
