// Package targetkey is the rules by which a key of a target has one owner: the row of the
// source whose record lies under it. They are pure: package state has the same as a
// script in Redis, package deliver keeps to them.
//
// Where two rows can make the same target key, or the key of a row can change, it is
// written of each target key (the object, the field, and the value as the target compares
// it) who owns it. The entry lies in a partition of its own choice, not in that of the
// row, and so is written neither together with the row's state nor under its lease.
// What makes it right all the same:
//
//   - An entry says nothing by itself: an owner is one whose own state names the key. A row
//     writes to its state that it goes for a key before it takes it, and never takes
//     what it has without need; whoever is in the way is asked for by its state.
//     An entry of a row that does not name the key any more, or that is not known, is
//     taken over.
//   - Each take leaves a number of its own in the entry, and what was decided by an entry
//     that was read is done only if it still is the same text.
//   - A row that gives up a key says so first (Leave), and may not write under it any
//     more; from then on anybody may take it, with the record that lies there. A row that
//     removes its record there reserves the key for as long as that request may last.
//   - All is repeatable: an answer that is lost, or a process that ends anywhere, leaves
//     an entry that the same row goes on with, or that another may take.
package targetkey

import (
	"crypto/sha256"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// idSize is how many bytes stand for a key: two of a billion keys have the same with a
// chance of less than one in 10^10.
const idSize = 12

// ID stands for a key of a target.
type ID string

// Of gives the ID of a key value as the target folds it, in a field of an object.
func Of(object, field, folded string) ID {
	h := sha256.New()
	for _, s := range []string{object, field, folded} {
		h.Write([]byte(strconv.Itoa(len(s))))
		h.Write([]byte{':'})
		h.Write([]byte(s))
	}
	return ID(h.Sum(nil)[:idSize])
}

// Partition is where the entry of a key lies.
func (id ID) Partition(of int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // it has no errors
	return int(h.Sum32() % uint32(of))
}

// Owner is a row of the source as one mapping sees it, with the partition that its state
// is in.
type Owner struct {
	Partition int
	Mapping   string
	Source    string
}

// String is the form that is stored.
func (o Owner) String() string {
	return strconv.Itoa(o.Partition) + " " + o.Mapping + "\x00" + o.Source
}

// entry is what is stored of a key: when it may be taken (zero: not), the number of the
// take, and the owner.
type entry struct {
	from  int64 // milliseconds since 1970, 1 for at once
	nonce string
	owner string
}

func (e entry) String() string { return strconv.FormatInt(e.from, 10) + " " + e.nonce + " " + e.owner }

func parseEntry(text string) (e entry, ok bool) {
	from, rest, ok1 := strings.Cut(text, " ")
	nonce, owner, ok2 := strings.Cut(rest, " ")
	n, err := strconv.ParseInt(from, 10, 64)
	return entry{n, nonce, owner}, ok1 && ok2 && err == nil
}

// OwnerOf reads the owner of an entry. Its errors do not quote the text.
func OwnerOf(text string) (o Owner, err error) {
	e, ok := parseEntry(text)
	partition, row, spaced := strings.Cut(e.owner, " ")
	mapping, source, ended := strings.Cut(row, "\x00")
	n, convErr := strconv.Atoi(partition)
	if !ok || !spaced || !ended || convErr != nil {
		return o, errors.New("parse owner of a target key: it has another form")
	}
	return Owner{n, mapping, source}, nil
}

// Kind is what is done with an entry.
type Kind string

// The kinds of operations.
const (
	// Take makes the row the owner, if nobody is, it is itself, or the owner has left.
	Take Kind = "take"
	// Keep is Take of a row whose record lies there: if it is the owner nothing is written.
	Keep Kind = "keep"
	// Leave lets others take the key from a time on. It writes an entry if there is none:
	// for a row whose record lies there without one.
	Leave Kind = "leave"
	// Quit is Leave where no entry means that no record lies there.
	Quit Kind = "quit"
	// Release removes the entry, if it is as it was.
	Release Kind = "release"
)

// Op is an operation on the entry of a key.
type Op struct {
	Kind  Kind
	ID    ID
	Owner Owner
	// Nonce is new for each operation.
	Nonce string
	// For is how long a key that is left is not to be taken yet.
	For time.Duration
	// Was is the entry that is taken over, or released, if it still is the same. Empty for
	// none.
	Was string
}

// NewNonce gives a number for an operation.
func NewNonce() string { return strconv.FormatUint(uint64(rand.Uint32()), 36) }

// Result is how an operation ended.
type Result string

// The results.
const (
	// Mine: the row owned the key before, and nobody else did since its last Take.
	Mine Result = "mine"
	// Free: nobody owned it. Of Quit and Release: there was no entry, or not this one.
	Free Result = "free"
	// Other: somebody else had, who left it or was proven not to have it any more.
	Other Result = "other"
	// Owned: somebody else owns it, and nothing was done.
	Owned Result = "owned"
)

// Answer is what came of an operation.
type Answer struct {
	Result Result
	// Entry is what is stored now; of the other owner if Owned.
	Entry string
}

// Apply carries out an operation on the entry of its key, "" for none, as the script in
// Redis does. It gives what is stored then, "" for nothing.
func Apply(have string, op Op, now time.Time) (string, Answer) {
	e, _ := parseEntry(have)
	mine := have != "" && e.owner == op.Owner.String()
	if op.Kind == Release {
		if have == "" || have != op.Was {
			return have, Answer{Free, have}
		}
		return "", Answer{Mine, ""}
	}
	result := Owned
	switch {
	case have == "":
		result = Free
	case mine:
		result = Mine
	case op.Was != "" && have == op.Was,
		(op.Kind == Take || op.Kind == Keep) && e.from != 0 && e.from <= now.UnixMilli():
		result = Other
	}
	next := entry{0, op.Nonce, op.Owner.String()}
	if op.Kind == Leave || op.Kind == Quit {
		next.from = max(1, now.Add(op.For).UnixMilli())
		if op.For <= 0 {
			next.from = 1
		}
		if mine {
			next.from = max(next.from, e.from)
		}
	}
	if result == Owned || op.Kind == Keep && mine && e.from == 0 || op.Kind == Quit && have == "" {
		return have, Answer{result, have}
	}
	return next.String(), Answer{result, next.String()}
}

// Held tells whether an entry is of a row that has not left the key.
func Held(text string) bool {
	e, ok := parseEntry(text)
	return ok && e.from == 0
}
