package servers

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// parentDir, in the environment, makes this test binary the parent of servers
// in that directory instead of running tests.
const parentDir = "WALBRIDGE_TEST_PARENT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentDir); dir != "" {
		if err := beParent(dir); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// beParent starts servers, says where they listen, and waits to be killed.
func beParent(dir string) error {
	p, err := StartPostgres(context.Background(), PostgresOptions{Dir: dir + "/postgres"})
	if err != nil {
		return err
	}
	r, err := StartRedis(context.Background(), RedisOptions{Dir: dir + "/redis"})
	if err != nil {
		return err
	}
	fmt.Println(p.Addr(), r.Addr())
	select {}
}

func TestServersDieWithTheirParent(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.CommandContext(t.Context(), self)
	parent.Env = append(os.Environ(), parentDir+"="+openDir(t))
	parent.Stderr = os.Stderr
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, readErr := bufio.NewReader(out).ReadString('\n')
	var postgres, redis string
	if _, err := fmt.Sscan(line, &postgres, &redis); err != nil || strings.HasPrefix(line, "error") {
		t.Errorf("the parent said %q, %v", line, readErr)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := parent.Wait(); err == nil {
		t.Error("the killed parent ended well")
	}
	for _, addr := range []string{postgres, redis} {
		waitFor(t, "the server at "+addr+" to die with its parent", func() bool {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				return true
			}
			c.Close()
			return false
		})
	}
}
