//go:build !linux

package servers

import (
	"os/exec"
	"syscall"
)

// dieWithParent does nothing: only Linux knows a parent-death signal. The
// child stays in our process group, so that Ctrl-C at a terminal ends it too.
func dieWithParent(*exec.Cmd, syscall.Signal) {}
