package deliver

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/state"
)

// errMissing stands for the result that a target did not give.
var errMissing error = &sinks.Retryable{Unknown: true, Err: errors.New("the target gave no result for the record")}

// refused tells whether an error means that the target will not have the batch
// as it is.
func refused(err error) bool {
	var (
		rej *sinks.Rejected
		wai *sinks.WaitForParent
	)
	return errors.As(err, &rej) || errors.As(err, &wai)
}

// haltOf says what an error for a whole batch means for the target. One of no
// known kind may pass.
func haltOf(err error) *fault {
	var (
		ret *sinks.Retryable
		thr *sinks.Throttled
		una *sinks.Unauthorized
		mis *sinks.Misconfigured
		pau *sinks.Paused
	)
	switch {
	case errors.As(err, &mis): // no other mapping is meant
		return &fault{err: err, waits: settingWaits, mend: true, mapping: true}
	case errors.As(err, &una):
		return &fault{err: err, waits: settingWaits, mend: true}
	case errors.As(err, &thr):
		return &fault{err: err, waits: targetWaits, after: thr.After, throttled: true}
	case errors.As(err, &pau):
		return &fault{err: err, waits: settingWaits, after: pau.After, mend: true}
	case errors.As(err, &ret):
		return &fault{err: err, waits: targetWaits, after: ret.After}
	}
	return &fault{err: err, waits: targetWaits}
}

// keptBackWait is how long a record waits at least that a job keeps back.
const keptBackWait = time.Second

// judge decides the fate of an item by the target's own result for it.
func (j *job) judge(now time.Time, it *item, r sinks.Result) {
	var (
		rej *sinks.Rejected
		thr *sinks.Throttled
		una *sinks.Unauthorized
		mis *sinks.Misconfigured
		pau *sinks.Paused
	)
	after, kept := keptBack(r.Err)
	switch {
	case r.Err == nil:
		j.accept(now, it)
	case kept:
		it.fate, it.after, it.why = again, max(after, keptBackWait), r.Err.Error()
	case errors.As(r.Err, &thr):
		it.fate = again
		j.stop(haltOf(r.Err))
	case errors.As(r.Err, &una), errors.As(r.Err, &mis), errors.As(r.Err, &pau):
		it.fate = again
		j.stop(haltOf(r.Err))
	case it.forParent(r.Err):
		j.orphaned(now, it, r.Err)
	case errors.As(r.Err, &rej):
		it.unsure(r.Err)
		j.park(now, it, sinks.Code(r.Err), r.Err)
	default:
		j.fail(now, it, r.Err)
	}
}

// stop notes a fault of the target, the one with the longest wait of several.
func (j *job) stop(f *fault) {
	if j.halt == nil || j.halt.after < f.after {
		j.halt = f
	}
}

// accept notes that the target has the record.
func (j *job) accept(now time.Time, it *item) {
	it.fate, it.took = delivered, true
	it.write = state.Known{Seen: it.change.Position, Old: it.olds()}
	if it.rec.Op == sinks.Upsert {
		it.write.Live, it.write.Key = true, it.rec.Key
		it.write.Lacking = it.rec.Left
		it.write.Payload = it.hash
		it.write.Sent = it.rec.Sent // of no use where it lacks something
		it.write.Partial = it.partial()
	}
	if it.rec.Op != sinks.Upsert && it.reserved != "" {
		it.release(j)
	}
	if !it.replayed() {
		j.s.e.stats.accepted(it.entry.Lane, now.Sub(it.entry.Oldest))
	}
	if it.known.Seen.Before(it.change.Position) { // else of a newer change, which was counted
		j.s.e.stats.within(j.mapper.Name(), it.row.Newest(), now)
	}
}

// same notes that nothing is to be sent, since the target holds all of it.
func (it *item) same(rec sinks.Record) {
	it.fate, it.write, it.has = filtered, it.known, true
	it.write.Seen, it.write.Sent, it.write.Partial = it.change.Position, rec.Sent, it.partial()
}

// partial tells that the newest change did not send all. What an older one filled in
// may have been overtaken too.
func (it *item) partial() bool { return !it.completed && len(it.row.Newest().Absent) > 0 }

// filter notes that nothing is to be sent, and that the change was seen. A record
// that the target holds, and that is no longer kept up to date, lacks from now on
// what was not sent (I5).
func (it *item) filter() {
	it.fate, it.write = filtered, it.known
	it.write.Seen = it.change.Position
	it.write.Lacking = it.known.Lacking || it.known.Live || it.known.Doubt
}

// detailed is an error that has more to say than may stand in a log.
type detailed interface{ Detail() string }

// park puts an item among the dead letters. What the target holds of the key may
// from now on lack what this record would have brought.
func (j *job) park(now time.Time, it *item, code string, err error) {
	it.fate, it.write = parked, it.known
	it.write.Seen, it.write.Lacking = it.change.Position, true
	it.write.Doubt = it.write.Doubt || it.moved // of the key that it had before it others know that it leaves
	it.dead = &deadletter.Letter{
		Mapping: it.entry.Key.Mapping, Key: it.entry.Key.Source, Table: it.change.Table, Op: it.change.Op.String(),
		Code: code, Error: err.Error(),
		Attempts: it.entry.Attempts + 1, Position: it.change.Position, Payload: it.payload(), Time: now,
	}
	var d detailed
	if errors.As(err, &d) {
		it.dead.Detail = d.Detail()
	}
	name := j.mapper.Name()
	j.s.e.log.once("park "+name+" "+code, "a record was parked in the dead letters; more of this kind are only counted",
		"mapping", name, "code", code, "position", it.change.Position.String())
}

// payload is the record as JSON, or the row where there is no record.
func (it *item) payload() string {
	if it.rec.Op == 0 {
		if it.change.After != "" {
			return it.change.After
		}
		return it.change.Key
	}
	fields := json.RawMessage("null")
	if len(it.rec.Fields) > 0 {
		b := []byte{'{'}
		for i, f := range it.rec.Fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendField(b, f)
		}
		fields = append(b, '}')
	}
	b, err := json.Marshal(struct {
		Op     string          `json:"op"`
		Object string          `json:"object"`
		Key    json.RawMessage `json:"key"`
		Fields json.RawMessage `json:"fields,omitempty"`
	}{it.rec.Op.String(), it.rec.Object, append(appendField([]byte{'{'}, it.rec.Key), '}'), fields})
	if err != nil { // a value that is not JSON
		return it.change.After
	}
	return string(b)
}

func appendField(b []byte, f sinks.Field) []byte {
	name, err := json.Marshal(f.Name)
	if err != nil { // a string always has a JSON form
		name = []byte(`""`)
	}
	b = append(append(b, name...), ':')
	return append(b, f.Value...)
}
