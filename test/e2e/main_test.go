package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/test/servers/servertest"
)

// program is the binary under test, built by TestMain.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds the program and runs the tests. WALBRIDGE_E2E_BUILD adds flags to
// the build, such as -race.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "walbridge-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: make a directory for the program:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "walbridge")
	args := append([]string{"build", "-o", program}, strings.Fields(os.Getenv("WALBRIDGE_E2E_BUILD"))...)
	build := exec.Command("go", append(args, "github.com/walbridge/walbridge/cmd/walbridge")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: build the program: %v\n%s", err, out)
		return 1
	}
	return servertest.Run(m)
}

// full tells whether the long versions of the tests are wanted.
func full() bool { return os.Getenv("WALBRIDGE_FULL") == "1" }

// seedOf gives the seed of a test's random choices and says it, so that a
// failure can be run again.
func seedOf(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano()) % 1_000_000
	if s := os.Getenv("WALBRIDGE_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("WALBRIDGE_SEED=%q: %v", s, err)
		}
	}
	t.Logf("seed %d", seed)
	return seed
}
