package targetkey

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A row goes through a change in these steps; a crash, or an answer that is lost, takes it
// back to the first one.
const (
	noting   = iota // it writes to its state what it goes for, and what it leaves
	taking          // it tells what it leaves, and takes its key
	sending         // its record is sent
	removing        // the record under an old key is reserved, removed, and the key released
	done
)

// row is a row of the source in the model: want is the key that it makes, "" if it is gone;
// has and old are its state.
type row struct {
	owner     Owner
	want, has string
	old       []string
	step      int
	reserved  string
}

// model is rows and a target. A record has the name of the row that wrote it.
type model struct {
	t       *rapid.T
	rows    []*row
	entries map[string]string
	target  map[string]string
	now     time.Time
}

func (m *model) apply(kind Kind, r *row, key string, d time.Duration, was string) Answer {
	next, a := Apply(m.entries[key], Op{Kind: kind, ID: ID(key), Owner: r.owner, Nonce: NewNonce(), For: d, Was: was}, m.now)
	if m.entries[key] = next; next == "" {
		delete(m.entries, key)
	}
	return a
}

// own is an operation with the question to the owner who is in the way.
func (m *model) own(kind Kind, r *row, key string, d time.Duration) Answer {
	a := m.apply(kind, r, key, d, "")
	if a.Result != Owned {
		return a
	}
	o, err := OwnerOf(a.Entry)
	if err != nil {
		m.t.Fatal(err)
	}
	other := m.rows[o.Partition]
	if other.has == key || slices.Contains(other.old, key) && (kind != Take || !Held(a.Entry)) {
		return a
	}
	return m.apply(kind, r, key, d, a.Entry)
}

const lasts = time.Minute

// move does the next step of a row; lost tells that its answer is lost.
func (m *model) move(r *row, lost bool) {
	next := r.step
	switch r.step {
	case noting:
		r.old = slices.DeleteFunc(r.old, func(k string) bool { return k == r.want })
		if r.has != "" && r.has != r.want {
			r.old = append(r.old, r.has)
		}
		r.has, next = r.want, taking
	case taking:
		for _, k := range r.old {
			m.apply(Leave, r, k, 0, "")
		}
		if next = sending; r.want == "" {
			next = removing
		} else if m.own(Take, r, r.has, 0).Result == Owned {
			next = noting // later again
		}
	case sending:
		m.target[r.has] = r.owner.Source
		next = removing
	case removing:
		if next = done; len(r.old) > 0 {
			next = removing
			k := r.old[0]
			switch {
			case r.reserved != "":
				delete(m.target, k)
				m.apply(Release, r, k, 0, r.reserved)
				r.reserved = ""
				r.old = r.old[1:]
			default:
				a := m.own(Quit, r, k, lasts)
				if r.reserved = a.Entry; a.Result == Owned || a.Result == Free {
					r.reserved, r.old = "", r.old[1:]
				}
			}
		}
	case done:
		return
	}
	if r.step = next; lost && next != done {
		r.step, r.reserved = noting, ""
	}
}

// write is a change of a row at the source: it is dealt with when the step that is under way
// has ended.
func (m *model) write(r *row, key string) {
	r.want = key
	r.step, r.reserved = noting, ""
}

// left tells whether a key is the old one of a row that cannot have its new one: it is
// seen to when it can.
func (m *model) left(key string) bool {
	return slices.ContainsFunc(m.rows, func(r *row) bool { return r.step != done && slices.Contains(r.old, key) })
}

// wait lets the time pass for which a key is reserved: the requests have ended by then.
func (m *model) wait() {
	m.now = m.now.Add(2 * lasts)
	for _, r := range m.rows {
		r.reserved = ""
	}
}

// check looks at what must hold at any time: a record of which a row knows that it has it for
// good is that row's.
func (m *model) check() {
	for _, r := range m.rows {
		if r.step == done && r.has != "" && m.target[r.has] != r.owner.Source {
			m.t.Fatalf("the record of %v under %s is of %q\n%q", r.owner, r.has, m.target[r.has], m.entries)
		}
	}
}

// TestProtocol lets rows take, leave, swap and delete their keys in random order, with
// crashes and lost answers. In the end each row whose key is its own has its record under
// it, nothing is left of others, and each key has one owner, who names it.
func TestProtocol(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{t: t, entries: map[string]string{}, target: map[string]string{}, now: time.UnixMilli(1_000_000_000_000)}
		for i := range 3 {
			m.rows = append(m.rows, &row{owner: Owner{i, "deals", fmt.Sprint(i)}, step: done})
		}
		keys := []string{"", "a", "b", "c"}
		any := func() *row { return m.rows[rapid.IntRange(0, 2).Draw(t, "row")] }
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) { m.write(any(), rapid.SampledFrom(keys).Draw(t, "key")) },
			"swap": func(t *rapid.T) {
				a, b := any(), any()
				x, y := a.want, b.want
				m.write(a, y)
				m.write(b, x)
			},
			"step": func(*rapid.T) { m.move(any(), false) },
			"lost": func(*rapid.T) { m.move(any(), true) },
			"crash": func(*rapid.T) {
				for _, r := range m.rows {
					if r.step != done {
						r.step, r.reserved = noting, ""
					}
				}
			},
			"wait": func(*rapid.T) { m.wait() },
			"":     func(*rapid.T) { m.check() },
		})
		for range 50 { // all come to rest; each wait is longer than any reservation
			for range 12 {
				for _, r := range m.rows {
					m.move(r, false)
					m.check()
				}
			}
			m.wait()
		}
		makes := map[string][]*row{}
		for _, r := range m.rows {
			makes[r.want] = append(makes[r.want], r)
		}
		for _, k := range keys[1:] {
			switch rows := makes[k]; {
			case len(rows) == 0 && m.target[k] != "" && !m.left(k):
				t.Errorf("%s has a record of row %s, which has another key", k, m.target[k])
			case len(rows) == 1 && (rows[0].step != done || m.target[k] != rows[0].owner.Source):
				t.Errorf("%s has the record of %q, want %s, at step %d", k, m.target[k], rows[0].owner.Source, rows[0].step)
			case len(rows) > 1 && !slices.ContainsFunc(rows, func(r *row) bool { return m.target[k] == r.owner.Source && r.step == done }):
				t.Errorf("%s has the record of %q, which none of its rows wrote", k, m.target[k])
			}
		}
	})
}

func TestTexts(t *testing.T) {
	o := Owner{3, "deals", "{\"id\":\"a b\\n\"}"}
	text, a := Apply("", Op{Kind: Take, ID: "x", Owner: o, Nonce: "n"}, time.Now())
	if got, err := OwnerOf(text); err != nil || got != o || a.Result != Free || !Held(text) {
		t.Errorf("%q is of %+v, %v", text, got, err)
	}
	for _, bad := range []string{"", "x", "0 n", "0 n 3", "0 n x deals\x00k", "0 n 3 deals"} {
		if _, err := OwnerOf(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	if Of("a", "bc", "d") == Of("ab", "c", "d") || Of("a", "b", "1").Partition(8) > 7 || len(Of("a", "b", "c")) != idSize {
		t.Error("keys are mixed up")
	}
}
