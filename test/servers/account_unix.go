//go:build unix

package servers

import (
	"os"
	"os/exec"
	"syscall"
)

// attributes gives the command's process attributes, made if there are none.
func attributes(cmd *exec.Cmd) *syscall.SysProcAttr {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	return cmd.SysProcAttr
}

// apply has the command run as the account.
func (a *account) apply(cmd *exec.Cmd) {
	if a != nil {
		attributes(cmd).Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
	}
}

// enters tells whether the account may pass through a directory.
func (a *account) enters(dir os.FileInfo) bool {
	st, ok := dir.Sys().(*syscall.Stat_t)
	if !ok {
		return true // nothing known against it
	}
	switch mode := dir.Mode().Perm(); {
	case st.Uid == a.uid:
		return mode&0o100 != 0
	case st.Gid == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}
