package nemesis

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/test/servers/servertest"
)

var (
	lengthFlag = flag.Duration("nemesis", 0, "how long TestNemesis goes on (WALBRIDGE_NEMESIS; 60s, with WALBRIDGE_FULL=1 5m)")
	seedFlag   = flag.Uint64("seed", 0, "seed of the choices (WALBRIDGE_SEED; by the clock)")
	killsFlag  = flag.Int("kills", 0, "how often TestKills kills the capture (15, with WALBRIDGE_FULL=1 200)")
	outageFlag = flag.Duration("outage", 0, "how long Redis is away in TestOutage (10s, with WALBRIDGE_FULL=1 60s)")
)

// program is the binary under test, built by TestMain.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds the program and runs the tests. WALBRIDGE_E2E_BUILD adds flags to
// the build, such as -race.
func run(m *testing.M) int {
	flag.Parse()
	redis.SetLogger(silent{}) // that a server is away is the test's own doing
	dir, err := os.MkdirTemp("", "walbridge-nemesis-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "nemesis: make a directory for the program:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "walbridge")
	args := append([]string{"build", "-o", program}, strings.Fields(os.Getenv("WALBRIDGE_E2E_BUILD"))...)
	build := exec.Command("go", append(args, "github.com/walbridge/walbridge/cmd/walbridge")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "nemesis: build the program: %v\n%s", err, out)
		return 1
	}
	return servertest.Run(m)
}

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// choose gives what a flag says, or else the short or the long default.
func choose[T comparable](asked, short, long T) T {
	var none T
	switch {
	case asked != none:
		return asked
	case os.Getenv("WALBRIDGE_FULL") == "1":
		return long
	}
	return short
}

// lengthOf is how long the nemesis goes on.
func lengthOf(t *testing.T) time.Duration {
	asked := *lengthFlag
	if s := os.Getenv("WALBRIDGE_NEMESIS"); s != "" && asked == 0 {
		var err error
		if asked, err = time.ParseDuration(s); err != nil {
			t.Fatalf("WALBRIDGE_NEMESIS=%q: %v", s, err)
		}
	}
	return choose(asked, 60*time.Second, 5*time.Minute)
}

// seedOf gives the seed of a test's choices and says it, so that a failure can be
// run again.
func seedOf(t *testing.T) uint64 {
	seed := *seedFlag
	if s := os.Getenv("WALBRIDGE_SEED"); s != "" && seed == 0 {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("WALBRIDGE_SEED=%q: %v", s, err)
		}
	}
	if seed == 0 {
		seed = 1 + uint64(time.Now().UnixNano())%1_000_000
	}
	t.Logf("seed %d", seed)
	return seed
}
