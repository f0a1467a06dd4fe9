package show

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// plainEvery is how often the table is printed where it cannot be redrawn.
const plainEvery = 5 * time.Second

// plainWidth is the width where there is no terminal to ask.
const plainWidth = 80

// What a terminal is told.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	clearLine  = "\x1b[K" // from the cursor to the end of the line
	clearBelow = "\x1b[J"
)

// Run draws a snapshot at once, then every so often, and a last time when ctx
// ends; then it returns nil. On a terminal (tty) each drawing replaces the one
// before, the cursor is hidden meanwhile and shown again at the end; elsewhere
// the table is printed below the last, every five seconds or at the slower pace
// asked for. The error is one of writing.
func Run(ctx context.Context, w io.Writer, snapshot func() Snapshot, every time.Duration, tty bool) (err error) {
	d := &drawer{w: w, tty: tty}
	if tty {
		if _, err := io.WriteString(w, hideCursor); err != nil {
			return fmt.Errorf("draw table: %w", err)
		}
		defer func() {
			if _, werr := io.WriteString(w, showCursor); werr != nil && err == nil {
				err = fmt.Errorf("draw table: %w", werr)
			}
		}()
	} else {
		every = max(every, plainEvery)
	}
	ticker := time.NewTicker(max(every, time.Millisecond))
	defer ticker.Stop()
	for {
		if err := d.draw(snapshot()); err != nil {
			return fmt.Errorf("draw table: %w", err)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if err := d.draw(snapshot()); err != nil {
				return fmt.Errorf("draw table: %w", err)
			}
			return nil
		}
	}
}

// drawer remembers how high the last drawing was.
type drawer struct {
	w     io.Writer
	tty   bool
	lines int
}

func (d *drawer) draw(s Snapshot) error {
	width, height := d.size()
	text := Render(s, width)
	if !d.tty {
		_, err := io.WriteString(d.w, text+"\n")
		return err
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	// A drawing higher than the screen would scroll, and could not be replaced.
	if height > 1 && len(lines) > height-1 {
		lines = lines[:height-1]
	}
	var b strings.Builder
	if d.lines > 0 {
		fmt.Fprintf(&b, "\r\x1b[%dA", d.lines)
	}
	for _, l := range lines {
		b.WriteString(l + clearLine + "\n")
	}
	b.WriteString(clearBelow)
	d.lines = len(lines)
	// One write, so that the terminal never shows half a table.
	_, err := io.WriteString(d.w, b.String())
	return err
}

// size asks the terminal each time, for it can be resized.
func (d *drawer) size() (width, height int) {
	if f, ok := d.w.(*os.File); ok && d.tty {
		if w, h, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			return w, h
		}
	}
	return plainWidth, 0
}
