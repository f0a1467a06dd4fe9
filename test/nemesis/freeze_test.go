package nemesis

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// freezeTree stops a server process with all its children, and gives what lets them
// go on. The parent is stopped first: then there will be no more of them.
func freezeTree(pid int) (thaw func() error, err error) {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return func() error { return nil }, fmt.Errorf("stop process %d: %w", pid, err)
	}
	frozen := []int{pid}
	children, err := childrenOf(pid)
	for _, c := range children {
		// One that has ended meanwhile is no matter.
		if e := syscall.Kill(c, syscall.SIGSTOP); e == nil {
			frozen = append(frozen, c)
		} else if !errors.Is(e, syscall.ESRCH) {
			err = errors.Join(err, fmt.Errorf("stop process %d: %w", c, e))
		}
	}
	return func() (err error) {
		for i := len(frozen) - 1; i >= 0; i-- {
			if e := syscall.Kill(frozen[i], syscall.SIGCONT); e != nil && !errors.Is(e, syscall.ESRCH) {
				err = errors.Join(err, fmt.Errorf("continue process %d: %w", frozen[i], e))
			}
		}
		return err
	}, err
}

// childrenOf lists the children of a process, as Linux tells them.
func childrenOf(pid int) (children []int, err error) {
	list, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	for _, path := range list {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// "pid (name) state ppid …", where the name may have anything in it.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) < 2 || string(fields[1]) != strconv.Itoa(pid) {
			continue
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		children = append(children, child)
	}
	return children, nil
}
