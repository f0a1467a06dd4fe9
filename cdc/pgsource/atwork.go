package pgsource

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/walbridge/walbridge/cdc"
)

// atWorkNote is the note by which a capture that streams tells others of it: which slot of
// which server it reads, and a number that rises as long as it is at work.
const atWorkNote = "at_work"

const (
	atWorkEvery = time.Second
	// atWorkWithin is how long a note is looked at: one that does not change is of a capture
	// that has ended.
	atWorkWithin = 3 * atWorkEvery
)

// tellAtWork renews the note until ctx ends. Where that fails the appender has the same
// trouble and tells of it.
func (c *Capture) tellAtWork(ctx context.Context, systemID string) error {
	t := time.NewTicker(atWorkEvery)
	defer t.Stop()
	for failing := false; ; {
		err := c.log.SetNote(ctx, atWorkNote, fmt.Sprintf("%s %d", c.reads(systemID), time.Now().UnixMilli()))
		if failing = err != nil && !failing && ctx.Err() == nil; failing {
			c.source.logger.Debug("the log cannot be told that this capture is at work", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// reads names what the capture reads: no other slot of another server has that name.
func (c *Capture) reads(systemID string) string { return systemID + "/" + c.source.options.Slot }

// alone asks for the server, and tells whether its changes may go into the log.
func (c *Capture) alone(ctx context.Context) error {
	sys, err := c.source.identify(ctx)
	if err != nil {
		return err
	}
	return c.usurps(ctx, sys.SystemID)
}

// usurps tells, as an error, that a capture of something else is filling the log now: another
// bridge has the name and the Redis of this one. Each would take the changes of the other for
// lost, and what the other's tables have for gone.
func (c *Capture) usurps(ctx context.Context, systemID string) error {
	was, err := c.log.Note(ctx, atWorkNote)
	who, _, ok := strings.Cut(was, " ")
	if err != nil || !ok || who == c.reads(systemID) {
		return err
	}
	for end := time.Now().Add(atWorkWithin); time.Now().Before(end); {
		if err := cdc.Sleep(ctx, slotPoll); err != nil {
			return err
		}
		now, err := c.log.Note(ctx, atWorkNote)
		switch {
		case err != nil:
			return err
		case now != was:
			return &cdc.SetupError{What: fmt.Sprintf("the log of this bridge is being filled by another capture now, from slot %s of another database (system %s)", who[strings.Index(who, "/")+1:], who[:strings.Index(who, "/")]),
				Hint: "two bridges have one name and one Redis: give this one a name of its own (name: in the configuration); if this database has taken the place of the other one, stop the process that still captures from that"}
		}
	}
	return nil
}
