package deliver

import (
	"slices"

	"github.com/walbridge/walbridge/sinks/state"
)

// The workers of a target share its partitions without a leader: each sees who is there and
// who owns what, and looks to its own part only. A part is the number of partitions by that of
// workers; of what is left over the oldest workers have one each, so that those who come and go
// move little. A worker that has more than its part gives what is over, and one that has less
// takes what nobody has. No two can own the same, as leases see to it; and as the parts add up
// to the whole, all partitions come to be owned whatever each of them has seen when.

// hand is what a worker holds of a partition.
type hand uint8

const (
	notOurs  hand = iota
	askedFor      // its lease is being taken, or it is being opened
	isOurs
	onItsWay // it is on its way to another worker
)

// fit are the workers that take part: those that know all mappings that any of them knows. One
// that was started with fewer would pass over what is for the others; it has no part as long as
// they are there. Where nobody knows all of them, it is those who know what the youngest does.
func fit(workers []state.Worker) (out []state.Worker) {
	knows := func(w state.Worker, names []string) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(w.Mappings, name) })
	}
	var all []string
	for _, w := range workers {
		all = append(all, w.Mappings...)
	}
	for _, w := range workers {
		if knows(w, all) {
			out = append(out, w)
		}
	}
	if len(out) > 0 || len(workers) == 0 {
		return out
	}
	youngest := workers[len(workers)-1]
	for _, w := range workers {
		if knows(w, youngest.Mappings) && knows(youngest, w.Mappings) {
			out = append(out, w)
		}
	}
	return out
}

// partOf is how many partitions a worker is to have, and its rank among those that take part;
// -1 if it is not one of them.
func partOf(workers []state.Worker, me string, partitions int) (part, rank int) {
	all := fit(workers)
	rank = slices.IndexFunc(all, func(w state.Worker) bool { return w.Name == me })
	if rank < 0 {
		return 0, -1
	}
	if part = partitions / len(all); rank < partitions%len(all) {
		part++
	}
	return part, rank
}

// share says which partitions a worker is to take and which to give. hungry tells that it has
// less than its part, so that it is to look again soon.
func share(m *state.Meeting, me string, hands []hand) (take, give []int, hungry bool) {
	part, rank := partOf(m.Workers, me, len(hands))
	have := 0
	for _, h := range hands {
		if h == askedFor || h == isOurs {
			have++
		}
	}
	for p := len(hands) - 1; p >= 0 && have > part; p-- {
		if hands[p] == isOurs {
			give = append(give, p)
			have--
		}
	}
	// Those who come together begin at different ends.
	first := max(0, rank) * part
	for i := range hands {
		p := (first + i) % len(hands)
		if have < part && hands[p] == notOurs && (m.Owners[p] == "" || m.Owners[p] == me) {
			take = append(take, p)
			have++
		}
	}
	return take, give, have < part
}

// agreed are the mappings that all workers know which take part or own something. What comes
// for another one must not be asked for yet: a worker that does not know it would pass it over.
// It is nil where somebody owns something of whom it is not known what he knows.
func agreed(m *state.Meeting, mine []string) []string {
	with := fit(m.Workers)
	for _, owner := range m.Owners {
		i := slices.IndexFunc(m.Workers, func(w state.Worker) bool { return w.Name == owner })
		switch {
		case owner == "":
		case i < 0:
			return nil
		default:
			with = append(with, m.Workers[i])
		}
	}
	out := []string{}
	for _, name := range mine {
		if !slices.ContainsFunc(with, func(w state.Worker) bool { return !slices.Contains(w.Mappings, name) }) {
			out = append(out, name)
		}
	}
	return out
}
