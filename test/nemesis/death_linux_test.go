package nemesis

import (
	"os/exec"
	"syscall"
)

// dieWithTest has the kernel end the child when the test's own process dies.
func dieWithTest(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
