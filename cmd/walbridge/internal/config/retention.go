package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// Retention says how much of the log is kept of what every target has read.
type Retention struct {
	// Age is how long entries are kept, from their commit on.
	Age time.Duration
	// Bytes bounds the memory of the streams; zero for no bound.
	Bytes int64
}

// What can come of a log that is full of what a target has not read: the target is
// detached, or the capture waits for it.
const (
	OnFullDetach = "detach"
	OnFullWait   = "wait"
)

// retainDefault keeps entries over a weekend: a mapping that was spoilt on a Friday
// can be replayed on the Monday. At twenty changes a second that is two gigabytes of
// Redis; where its maxmemory is less, what is read goes earlier, by the high mark.
const retainDefault = 72 * time.Hour

// highMarkDefault leaves a fifth of the memory to the state of the targets, to the
// buffers of clients, and to a burst between two looks.
const highMarkDefault = 80

func (l *loader) retention(s *yamldoc.Section, r *Redis) {
	keep := l.doc.Section(s.Node("retention"), "age", "bytes")
	keep.Duration("age", &r.Retention.Age)
	l.size(keep.Node("bytes"), &r.Retention.Bytes, "4GiB")
	l.percent(s.Node("high_mark"), &r.HighMark, "80%")
	s.Text("on_full", &r.OnFull)
}

// percent reads a part of a hundred.
func (l *loader) percent(n *yamldoc.Node, dst *int, example string) {
	if n == nil {
		return
	}
	digits, ok := strings.CutSuffix(n.Text, "%")
	v, err := strconv.Atoi(digits)
	if err != nil || !ok || n.Kind == yamldoc.Map || n.Kind == yamldoc.List {
		l.doc.Fail(n, "not a percentage", n.Shown(), "write a whole number with %, such as "+example)
		return
	}
	*dst = v
}

// leastBytes is the least bound of the log: below it nodes of streams would count.
const leastBytes = 4 << 20

func (r Redis) validateRetention(v *validator) {
	v.span("redis.retention.age", r.Retention.Age, 0, 10*365*24*time.Hour)
	if b := r.Retention.Bytes; b != 0 && b < leastBytes {
		v.fail("redis.retention.bytes", "less than 4MiB", "", "write a size such as 4GiB, or 0B for no bound")
	}
	if r.HighMark != 0 && (r.HighMark < 10 || r.HighMark > 95) {
		v.fail("redis.high_mark", "out of range", fmt.Sprintf("%d%%", r.HighMark), "write a percentage from 10% to 95%, or 0% for none")
	}
	v.choice("redis.on_full", r.OnFull, []string{OnFullDetach, OnFullWait})
}
