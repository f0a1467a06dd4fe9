package wire

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/console"
	"github.com/walbridge/walbridge/sinks/deliver"
	"github.com/walbridge/walbridge/sinks/queue"
)

// peekWait is how long a queue is waited for: a delivery that has not begun has none.
const peekWait = 2 * time.Second

// peekRows bounds the bytes of rows in an answer; the rows beyond are left out.
const peekRows = 4 << 20

// stageNames are the words for the stages of a key.
var stageNames = map[queue.Stage]string{
	queue.InFlight: console.StageInFlight, queue.Ready: console.StageReady, queue.Gated: console.StageHeld, queue.Gathering: console.StageGathering, queue.Quiet: console.StageQuiet,
	queue.BackOff: console.StageBackOff, queue.Awaiting: console.StageAwaiting, queue.Leaving: console.StageLeaving,
	queue.Returning: console.StageReturning, queue.Aside: console.StageAside,
}

// Peek shows the queue of a target to who has a pass: it has the keys of rows, which
// nothing else tells that a process serves (I14).
func (b *Bridge) Peek(ctx context.Context, pass string, q console.PeekQuestion) (*console.Queue, error) {
	switch good, err := b.log.GoodPass(ctx, pass); {
	case err != nil:
		return nil, err
	case !good:
		return nil, console.ErrPass
	}
	i := slices.IndexFunc(b.targets, func(t *target) bool { return t.name == q.Target })
	if i < 0 {
		return nil, &console.NoTargetError{Target: q.Target}
	}
	t := b.targets[i]
	out := &console.Queue{Target: t.name, Owner: t.owner, State: console.QueueOwned, Now: time.Now().UTC(),
		Mappings: []console.QueueMapping{}, Lanes: []console.QueueLane{}, Keys: []console.QueueKey{}}
	wait, cancel := context.WithTimeout(ctx, peekWait)
	defer cancel()
	p, err := t.engine.Peek(wait, deliver.PeekQuery{Mapping: q.Mapping, Key: q.Key, Lane: q.Lane, Limit: q.Limit, Values: q.Values})
	switch {
	case errors.Is(err, deliver.ErrNotOwner):
		out.State = console.QueueElse
		return out, nil
	case errors.Is(err, deliver.ErrNotYet):
		out.State = console.QueueYet
		return out, nil
	case err != nil:
		return nil, err
	}
	if len(p.Partitions) == 0 {
		out.State = console.QueueElse
		return out, nil
	}
	t.shownQueue(out, p)
	for i := range p.Keys {
		out.Keys = append(out.Keys, shownKey(&p.Keys[i]))
	}
	if q.Values {
		err = addRows(out.Keys, p.Keys)
	}
	return out, err
}

// shownQueue fills in what is of the queue as a whole.
func (t *target) shownQueue(out *console.Queue, p *deliver.Peek) {
	out.Now, out.Aside, out.Matching = p.At.UTC(), p.Queue.Aside, p.Queue.Matching
	if c := p.Condition; c.Circuit != deliver.Closed {
		out.PausedUntil, out.Why = c.Until.UTC(), cmp.Or(c.Why, "the target is probed")
	}
	if r := t.engine.Stats().Rate; r != nil {
		if until, why := held(*r); until.After(out.PausedUntil) {
			out.PausedUntil, out.Why = until.UTC(), why
		}
	}
	out.Partitions, out.Holds = p.Partitions, holds(p.Held)
	for _, m := range p.Mappings {
		out.Mappings = append(out.Mappings, console.QueueMapping{Mapping: m.Name, PausedUntil: m.Until.UTC(), Why: m.Why})
	}
	for l, v := range p.Queue.Lanes {
		out.Lanes = append(out.Lanes, console.QueueLane{Lane: queue.Lane(l).String(), Keys: v.Keys, Entries: v.Entries, Bytes: v.Bytes, Oldest: v.Oldest.UTC()})
	}
}

// holds says of which partitions nothing is sent, and why.
func holds(list []deliver.HeldPart) (out []string) {
	var reads, leaving []string
	till := map[time.Time][]string{}
	for _, h := range list {
		switch n := strconv.Itoa(h.Partition); {
		case h.Leaving:
			leaving = append(leaving, n)
		case h.Until.IsZero():
			reads = append(reads, n)
		default:
			till[h.Until] = append(till[h.Until], n)
		}
	}
	if len(reads) > 0 {
		out = append(out, fmt.Sprintf("of partitions %s the log is read first as far as it was sent before", strings.Join(reads, ", ")))
	}
	for _, at := range slices.SortedFunc(maps.Keys(till), time.Time.Compare) {
		out = append(out, fmt.Sprintf("of partitions %s requests of a process before may still be carried out, until %s", strings.Join(till[at], ", "), at.UTC().Format(time.RFC3339)))
	}
	if len(leaving) > 0 {
		out = append(out, fmt.Sprintf("partitions %s go to another worker, and only what is urgent is sent of them until then", strings.Join(leaving, ", ")))
	}
	return out
}

func shownKey(k *deliver.PeekKey) console.QueueKey {
	out := console.QueueKey{Mapping: k.Key.Mapping, Key: keyText(k.Key.Source), Partition: k.Partition, Lane: k.Lane.String(), Stage: stageNames[k.Stage],
		Until: k.Until.UTC(), Since: k.Since.UTC(), Job: k.Job, Changes: k.Changes, Entries: k.Entries, More: k.More, Oldest: k.Oldest.UTC(),
		Attempts: k.Attempts, Error: k.Why, Parents: shownRows(k.Parents), Rivals: shownRows(k.Rivals), Doubt: k.Doubt, Replay: k.Replay != queue.Live}
	if !k.Position.IsZero() {
		out.Position = k.Position.String()
	}
	if k.Stage == queue.Aside || k.Stage == queue.Returning {
		out.Lane = "" // of what is written there it is not known
	}
	return out
}

func shownRows(keys []queue.Key) (out []console.QueueRow) {
	for _, k := range keys {
		out = append(out, console.QueueRow{Mapping: k.Mapping, Key: keyText(k.Source)})
	}
	return out
}

// keyText is a key of the log as JSON.
func keyText(key string) json.RawMessage {
	if json.Valid([]byte(key)) {
		return json.RawMessage(key)
	}
	text, err := json.Marshal(key)
	if err != nil { // a string always has a JSON form
		return nil
	}
	return text
}

// addRows adds the rows as far as there is room.
func addRows(out []console.QueueKey, keys []deliver.PeekKey) error {
	room := peekRows
	for i := range keys {
		ch := &keys[i].Change
		if ch.Op == 0 || len(ch.After) > room {
			continue
		}
		room -= len(ch.After)
		out[i].Op, out[i].Absent = ch.Op.String(), ch.Absent
		if ch.After != "" {
			if !json.Valid([]byte(ch.After)) {
				return fmt.Errorf("the row of an entry at %s is not JSON", ch.Position)
			}
			out[i].Row = json.RawMessage(ch.After)
		}
	}
	return nil
}
