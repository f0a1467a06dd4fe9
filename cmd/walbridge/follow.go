package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/walbridge/walbridge/cdc"
)

const (
	// followEvery is how often the progress of what was asked for is looked at.
	followEvery = 500 * time.Millisecond
	// tellEvery is how often it is told where the output is no terminal.
	tellEvery = 5 * time.Second
	// idleAfter is after how long of nothing it is told what is missing.
	idleAfter = 5 * time.Second
)

// follower shows the progress of something that another process works on.
type follower struct {
	what string // and its id
	left string // said when nobody looks any more
	idle string // said when nobody has begun with it
}

// followed is how far it is.
type followed struct {
	line string
	end  bool // it does not go on by itself
	bad  bool // that is no good end
	idle bool // nobody has begun with it
}

// follow looks until the end. The end of ctx leaves the work be.
func (f *follower) follow(ctx context.Context, out io.Writer, look func(context.Context) (followed, error)) error {
	tty := false
	if o, ok := out.(*os.File); ok {
		tty = term.IsTerminal(int(o.Fd()))
	}
	fmt.Fprintln(out, f.what)
	began, told, hinted := time.Now(), time.Time{}, false
	for {
		s, err := look(ctx)
		if ctx.Err() != nil {
			_, err := fmt.Fprintf(out, "\n%s\n", f.left)
			return err
		}
		if err != nil {
			return err
		}
		switch {
		case tty && s.end:
			fmt.Fprintf(out, "\r\x1b[K%s\n", s.line)
		case tty:
			fmt.Fprintf(out, "\r\x1b[K%s", s.line)
		case s.end || time.Since(told) >= tellEvery:
			told = time.Now()
			fmt.Fprintln(out, s.line)
		}
		if s.idle && !hinted && time.Since(began) > idleAfter {
			hinted = true
			fmt.Fprintln(out, f.idle)
		}
		switch {
		case s.bad:
			return errProblems
		case s.end:
			return nil
		}
		_ = cdc.Sleep(ctx, followEvery) // its end is looked at above
	}
}
