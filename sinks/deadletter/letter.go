package deadletter

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// Letter is a record that was parked.
type Letter struct {
	Mapping string
	// Key is the key of the source, a JSON object.
	Key   string
	Table cdc.Table
	Op    string
	// Code is a short word for the error, the target's own where it has one.
	Code string
	// Error holds no value of the row; Detail, what the target said, may.
	Error, Detail string
	Attempts      int
	Position      cdc.Position
	// Payload is the record as JSON, or the row where no record could be made.
	Payload string
	Time    time.Time
}

// field is the field of the index for the key.
func (l *Letter) field() string { return field(l.Mapping, l.Key) }

func field(mapping, key string) string { return mapping + "\x00" + key }

// FieldCount is how many fields a letter has in its stream.
const FieldCount = 11

// Append adds the names and values of the fields to the arguments of a script. The
// mapping and the key come first: the scripts read them there.
func (l *Letter) Append(args []any) []any {
	return append(args,
		"mapping", l.Mapping, "key", l.Key, "table", l.Table.String(), "op", l.Op,
		"code", l.Code, "error", l.Error, "detail", l.Detail, "attempts", l.Attempts,
		"position", l.Position.String(), "payload", l.Payload, "ts", l.Time.UnixMicro())
}

// parse reads the fields of an entry. What is not as it should be is left out: an entry
// that somebody spoilt must still be listed, and can be discarded.
func parse(values map[string]any) Letter {
	text := func(name string) string {
		s, _ := values[name].(string) // they are texts
		return s
	}
	l := Letter{
		Mapping: text("mapping"), Key: text("key"), Op: text("op"), Code: text("code"), Error: text("error"),
		Detail: text("detail"), Payload: text("payload"),
	}
	if t, err := cdc.ParseTable(text("table")); err == nil {
		l.Table = t
	}
	if at, err := cdc.ParsePosition(text("position")); err == nil {
		l.Position = at
	}
	if n, err := strconv.Atoi(text("attempts")); err == nil {
		l.Attempts = n
	}
	if micros, err := strconv.ParseInt(text("ts"), 10, 64); err == nil {
		l.Time = time.UnixMicro(micros).UTC()
	}
	return l
}

// Entry is a letter where it lies.
type Entry struct {
	Letter
	Target    string
	Partition int
	// ID is that of the entry of the stream.
	ID string
}

// MarshalJSON gives all of an entry as one object, with key and payload as they are.
func (e Entry) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Target    string       `json:"target"`
		Mapping   string       `json:"mapping"`
		Key       any          `json:"key"`
		Table     cdc.Table    `json:"table"`
		Op        string       `json:"op"`
		Code      string       `json:"code"`
		Error     string       `json:"error"`
		Detail    string       `json:"detail,omitempty"`
		Attempts  int          `json:"attempts"`
		Position  cdc.Position `json:"position"`
		Time      time.Time    `json:"time"`
		Payload   any          `json:"payload"`
		Partition int          `json:"partition"`
		ID        string       `json:"id"`
	}{
		e.Target, e.Mapping, raw(e.Key), e.Table, e.Op, e.Code, e.Error, e.Detail, e.Attempts, e.Position, e.Time,
		raw(e.Payload), e.Partition, e.ID,
	})
}

// raw gives JSON as it is, and a text that is none as a text.
func raw(s string) any {
	if json.Valid([]byte(s)) {
		return json.RawMessage(s)
	}
	return s
}
