package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"
)

// targetCommand is a target in a process of its own: it takes every record, and ends with
// its input.
func targetCommand() *cobra.Command {
	return &cobra.Command{Use: "target", Hidden: true, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		s := &http.Server{Handler: http.HandlerFunc(takeAll)}
		go func() {
			// It ends when there is nobody left to ask it anything.
			_, _ = io.Copy(io.Discard, os.Stdin)
			_ = s.Close()
		}()
		fmt.Printf("http://%s/\n", l.Addr())
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	}}
}

// takeAll takes the records of a request. It only counts them: what a target does with
// them is not what is measured.
func takeAll(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "read", http.StatusBadRequest)
		return
	}
	answerAll(w, bytes.Count(body, []byte(`{"op":`)))
}

// answerAll says yes to n records.
func answerAll(w http.ResponseWriter, n int) {
	w.Header().Set("Content-Type", "application/json")
	// A client that is gone asks again.
	_, _ = io.WriteString(w, `{"results":[`+strings.TrimSuffix(strings.Repeat(`{"ok":true},`, n), ",")+`]}`)
}

// remoteTarget is a target in a process of its own.
type remoteTarget struct {
	url   string
	cmd   *exec.Cmd
	input io.Closer
}

func startTarget(ctx context.Context) (*remoteTarget, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	t := &remoteTarget{cmd: exec.CommandContext(ctx, self, "target")}
	t.cmd.Stderr = os.Stderr
	if t.input, err = t.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start target: %w", err)
	}
	out, err := t.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start target: %w", err)
	}
	if err := t.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start target: %w", err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start target: %w", err), t.close())
	}
	t.url = strings.TrimSpace(line)
	return t, nil
}

func (t *remoteTarget) close() error {
	if err := errors.Join(t.input.Close(), t.cmd.Wait()); err != nil {
		return fmt.Errorf("end target: %w", err)
	}
	return nil
}
