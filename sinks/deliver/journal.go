package deliver

import (
	"log/slog"
	"sync"
)

// journal writes a trouble to the log once when it begins and once when it ends,
// however often it is met in between.
type journal struct {
	logger *slog.Logger
	stats  *recorder
	mu     sync.Mutex // covers open and told
	open   map[string]bool
	told   map[string]bool
}

func newJournal(logger *slog.Logger, stats *recorder) *journal {
	return &journal{logger: logger, stats: stats, open: map[string]bool{}, told: map[string]bool{}}
}

// begins tells whether a trouble is new.
func (j *journal) begins(what string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open[what] {
		return false
	}
	j.open[what] = true
	return true
}

// fails notes that something does not work for now and is tried again.
func (j *journal) fails(what string, err error) {
	j.stats.failed(err)
	if j.begins(what) {
		j.logger.Warn("delivery is held up", "by", what, "error", err)
	}
}

// wants is fails for what only a person can mend.
func (j *journal) wants(what string, err error) {
	j.stats.failed(err)
	if j.begins(what) {
		j.logger.Error("delivery waits for somebody to mend it", "by", what, "error", err)
	}
}

// works notes that something works.
func (j *journal) works(what string) {
	j.mu.Lock()
	was := j.open[what]
	delete(j.open, what)
	j.mu.Unlock()
	if was {
		j.logger.Info("delivery goes on", "after", what)
	}
}

// mostTold is how many things are told once: codes come from targets, and one may
// make up a new one each time.
const mostTold = 1000

// once warns of something the first time it is met.
func (j *journal) once(what, message string, args ...any) {
	j.mu.Lock()
	was := j.told[what] || len(j.told) >= mostTold
	if !was {
		j.told[what] = true
	}
	j.mu.Unlock()
	if !was {
		j.logger.Warn(message, args...)
	}
}
