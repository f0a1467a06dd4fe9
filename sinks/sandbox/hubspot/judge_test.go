package hubspot

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

// judgeSteps are what testdata/judge/judge.mjs looks at. A step that is not run is as bad as
// one that goes wrong.
var judgeSteps = []string{
	"batch upsert creates",
	"batch upsert updates",
	"207 tells which inputs are wrong",
	"one wrong input without a trace id refuses all",
	"two inputs for one record are refused",
	"a property that is not unique names no record",
	"batch read by key and by id",
	"batch update, and an empty text clears",
	"batch create with associations",
	"an email address of another contact is a conflict",
	"single update, list and search",
	"associations in batches",
	"archive, and its key stays in the way",
	"properties, owners and pipelines",
	"dated paths",
	"a search above the limit is waited out by the client",
	"a token that is not known",
	"a refresh token gives an access token",
}

// The simulation is judged from outside: HubSpot's own Node client must work against it.
func TestHubSpotsOwnClient(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	modules, err := installJudge(ctx)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.Mount("hubspot", New(Options{
		Apps:   []App{{Token: "private"}},
		OAuth:  &OAuth{ClientID: "client", ClientSecret: "hush", RefreshToken: "refresh"},
		Limits: DefaultLimits(),
	})))
	defer server.Close()
	cmd := exec.CommandContext(ctx, "node", filepath.Join("testdata", "judge", "judge.mjs"), modules, server.URL+"/hubspot")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("run the judge: %v\n%s%s", err, out, complaints.Bytes())
	}
	wrong := map[string]string{}
	ran := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var line struct{ Step, Wrong string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("read the verdict %q: %v", lines.Text(), err)
		}
		ran[line.Step], wrong[line.Step] = true, line.Wrong
	}
	for _, name := range judgeSteps {
		t.Run(name, func(t *testing.T) {
			if !ran[name] {
				t.Fatal("the judge did not look at it")
			}
			if wrong[name] != "" {
				t.Fatal(wrong[name])
			}
		})
	}
	if len(ran) != len(judgeSteps) {
		t.Errorf("the judge looked at %d things, %d are listed", len(ran), len(judgeSteps))
	}
}

// installJudge makes sure of HubSpot's client and gives the directory that holds it: in the
// user's cache, under the hash of what is to be installed. It is installed beside that and
// then moved, so that what is there is whole.
func installJudge(ctx context.Context) (dir string, err error) {
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("HubSpot's own client judges the simulation and needs %s: %w; install Node.js 18 or later with npm (Debian, Ubuntu: apt-get install nodejs npm), or let ./test/run do it", program, err)
		}
	}
	var files [2][]byte
	names := [2]string{"package.json", "package-lock.json"}
	hash := sha256.New()
	for i, name := range names {
		if files[i], err = os.ReadFile(filepath.Join("testdata", "judge", name)); err != nil {
			return "", fmt.Errorf("read what to install: %w", err)
		}
		hash.Write(files[i])
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache directory: %w", err)
	}
	cache = filepath.Join(cache, "walbridge")
	dir = filepath.Join(cache, fmt.Sprintf("hubspot-judge-%x", hash.Sum(nil)[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("make the cache directory: %w", err)
	}
	made, err := os.MkdirTemp(cache, "installing-")
	if err != nil {
		return "", fmt.Errorf("make a directory for npm: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(made)) }()
	fresh := filepath.Join(made, "package")
	if err := os.Mkdir(fresh, 0o755); err != nil {
		return "", fmt.Errorf("make a directory for npm: %w", err)
	}
	for i, name := range names {
		if err := os.WriteFile(filepath.Join(fresh, name), files[i], 0o644); err != nil {
			return "", fmt.Errorf("write what to install: %w", err)
		}
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = fresh
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install HubSpot's client: npm ci: %w\n%s", err, strings.TrimSpace(string(text)))
	}
	if err := os.Rename(fresh, dir); err != nil {
		if _, there := os.Stat(dir); there != nil {
			return "", fmt.Errorf("put HubSpot's client into place: %w", err)
		}
	}
	return dir, nil
}
