package servers

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// account is another user to run a server as. A nil *account is ourselves.
type account struct {
	name     string
	uid, gid uint32
}

// serverAccount chooses whom PostgreSQL runs as. It refuses root, so root
// lends it the user its packages make, or else nobody.
func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue // the next may exist
		}
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return nil, fmt.Errorf("read the ids of user %s: %w", name, err)
		}
		return &account{name: name, uid: uint32(uid), gid: uint32(gid)}, nil
	}
	return nil, errors.New("choose a user for PostgreSQL, which refuses root: neither postgres nor nobody exists; run as a user other than root")
}

// own gives a file or directory to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	if err := os.Chown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("give the directory to user %s: %w", a.name, err)
	}
	return nil
}

// reach checks that the account may pass through a directory and all above it.
func (a *account) reach(dir string) error {
	if a == nil {
		return nil
	}
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return fmt.Errorf("look at %s: %w", at, err)
		}
		if !a.enters(info) {
			return fmt.Errorf("use %s as user %s: %s (mode %04o) does not let that user in; choose another place, or run: chmod o+x %s",
				dir, a.name, at, info.Mode().Perm(), at)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}
