package servers

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel send the signal to the child when the thread
// that started it ends. The child also leads a process group of its own, so
// that Ctrl-C at a terminal reaches us and not the servers, which we stop in
// our own order.
func dieWithParent(cmd *exec.Cmd, sig syscall.Signal) {
	a := attributes(cmd)
	a.Pdeathsig = sig
	a.Setpgid = true
}
