package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What must be shown nowhere: secrets of the configuration, and values of rows (I14). The
// first part of each tells which it is where it is found.
const (
	plantedPassword = "password-q7Zr9f"
	plantedHeader   = "header-w3Kd8s"
	plantedQuery    = "query-x5Lp2v"
	plantedClient   = "client-e1Vn6t"
	plantedToken    = "token-u8Hj4c"
	plantedRefresh  = "refresh-s6Yc1d"
	plantedRotated  = "rotated-n3Bx5k"
	plantedKey      = "a2V5LW9mLXdlYmhvb2stYjRXcTFuLWFuZC1tb3Jl" // key-of-webhook-b4Wq1n
	plantedName     = "name-of-row-g2Sb7y"
	plantedNote     = "note-of-row-m9Tf3k"
)

var (
	plantedSecrets = []string{plantedPassword, plantedHeader, plantedQuery, plantedClient, plantedToken, plantedRefresh, plantedRotated, plantedKey, "key-of-webhook-b4Wq1n"}
	plantedValues  = []string{plantedName, plantedNote}
)

// plantedTargets are targets with something planted into each secret; URL is the address of
// the echo with the name of the target, DATABASE that
// of the source with a planted password.
var plantedTargets = []struct{ name, settings string }{
	{"http", `type: http, url: "URL/in?key=` + plantedQuery + `", describe: "URL/describe/{object}?key=` + plantedQuery + `", headers: {Authorization: "Bearer ` + plantedHeader + `"}`},
	{"webhook", `type: http, preset: webhook, url: "URL/in?key=` + plantedQuery + `", auth: {keys: ["whsec_` + plantedKey + `"]}`},
	{"captivateiq", `type: http, preset: captivateiq, url: "URL", auth: {token: "` + plantedToken + `"}, objects: {Deal: 00000000-0000-0000-0000-000000000000}`},
	{"salesforce", `type: salesforce, url: "URL", login: {grant: client_credentials, client_id: app, client_secret: "` + plantedClient + `"}`},
	{"rotating", `type: salesforce, url: "URL", login: {grant: refresh, client_id: app, client_secret: "` + plantedClient + `", refresh_token: "` + plantedRefresh + `"}`},
	{"hubspotapp", `type: hubspot, url: "URL", login: {client_id: app, client_secret: "` + plantedClient + `", refresh_token: "` + plantedRefresh + `-of-hubspot"}`},
	{"postgres", `type: postgres, url: "DATABASE"`},
	{"hubspot", `type: hubspot, url: "URL", token: "` + plantedToken + `"`},
}

// echo is a target that answers in every wrong way, and always with what it was sent.
type echo struct {
	mu    sync.Mutex
	asked map[string]int // by the path
	// logins are how many there were, rotated how many with a refresh token that came in place
	// of another; by the first part of the path.
	logins, rotated map[string]int
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	for _, end := range []string{"/services/oauth2/token", "/oauth/2026-03/token"} {
		if path, ok := strings.CutSuffix(r.URL.Path, end); ok {
			e.login(w, r, path, string(body))
			return
		}
	}
	e.mu.Lock()
	n := e.asked[r.URL.Path]
	e.asked[r.URL.Path]++
	e.mu.Unlock()
	if r.Method == http.MethodGet && n == 0 { // somebody looks whether we are there
		fmt.Fprint(w, "{}")
		return
	}
	text, err := json.Marshal(string(body))
	if err != nil {
		return
	}
	refusal := fmt.Sprintf(`{"code":%s,"message":%[1]s,"errorCode":%[1]s,"status":"error","category":%[1]s,"errors":[{"code":%[1]s,"message":%[1]s}]}`, text)
	switch n % 8 {
	case 0:
		http.Error(w, refusal, http.StatusBadRequest)
	case 1:
		http.Error(w, refusal, http.StatusInternalServerError)
	case 2:
		fmt.Fprint(w, string(body))
	case 3:
		fmt.Fprintf(w, `{"results":%s,%s`, text, refusal[1:])
	case 4:
		http.Redirect(w, r, "http://"+r.Host+"/"+url.QueryEscape(string(body[:min(len(body), 2000)])), http.StatusFound)
	case 5:
		panic(http.ErrAbortHandler)
	default:
		fmt.Fprint(w, e.results(body, n))
	}
}

// login gives a token for two seconds, and another refresh token with it each time.
func (e *echo) login(w http.ResponseWriter, r *http.Request, path, body string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.logins[path]++
	if strings.Contains(body, plantedRotated) {
		e.rotated[path]++
	}
	fmt.Fprintf(w, `{"access_token":%q,"instance_url":"http://%s%s","expires_in":2,"refresh_token":"%s-%d"}`, plantedToken, r.Host, path, plantedRotated, e.logins[path])
}

// results takes half of the records, and refuses the others with all that they hold.
func (e *echo) results(body []byte, n int) string {
	var in struct{ Records []json.RawMessage }
	if json.Unmarshal(body, &in) != nil {
		return "{}"
	}
	out := make([]string, len(in.Records))
	for i, rec := range in.Records {
		text, err := json.Marshal(string(rec))
		if err != nil {
			return "{}"
		}
		out[i] = fmt.Sprintf(`{"ok":%v,"id":"1","code":%s,"message":%[2]s,"retryable":%v}`, (i+n)%2 == 0, text, i%4 == 1)
	}
	return `{"results":[` + strings.Join(out, ",") + `]}`
}

func (e *echo) askedOf(prefix string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for path, k := range e.asked {
		if strings.HasPrefix(path, prefix) {
			n += k
		}
	}
	return n
}

// typesOfTargets are the types that a configuration may name.
func typesOfTargets(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, "schema", "--config").Output()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Defs struct {
			Target struct {
				Properties struct{ Type struct{ Enum []string } }
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal(out, &doc); err != nil || len(doc.Defs.Target.Properties.Type.Enum) == 0 {
		t.Fatalf("no types of targets are in the schema (%v)", err)
	}
	return doc.Defs.Target.Properties.Type.Enum
}

// secretive makes a bridge whose secrets and rows are planted, with a target of each type.
func secretive(t *testing.T, e *echo) *bridge {
	t.Helper()
	server := httptest.NewServer(e)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	b := newBridge(t, options{rewrite: func(config string) string {
		head, _, _ := strings.Cut(config, "\ntargets:\n")
		u, err := url.Parse(regexp.MustCompile(`postgres://[^"]+`).FindString(head))
		if err != nil {
			t.Fatal(err)
		}
		before := u.String()
		u.User = url.UserPassword(u.User.Username(), plantedPassword)
		head = strings.Replace(head, before, u.String(), 1)
		head = strings.Replace(head, `listen: ""`, `listen: "127.0.0.1:0"`, 1) + "\nlog: {level: debug, format: json}\ntargets:\n"
		for _, p := range plantedTargets {
			settings := strings.NewReplacer("URL", server.URL+"/"+p.name, "DATABASE", u.String()).Replace(p.settings)
			head += fmt.Sprintf("  %s: {%s, timeout: 2s, retry: {attempts: 3, initial: 10ms, max: 100ms}}\n", p.name, settings)
		}
		return head
	}})
	b.noMappings()
	for _, p := range plantedTargets {
		b.write("mappings/deals-to-"+p.name+".yaml", "from: public.deals\nto: "+p.name+"/Deal\nkey: {id: id}\nfields: {name: name, note: note, amount: amount}\ncoalesce: {quiet: 10ms, max_delay: 100ms}\n")
	}
	for _, name := range typesOfTargets(t) {
		if !slices.ContainsFunc(plantedTargets, func(p struct{ name, settings string }) bool { return strings.HasPrefix(p.settings, "type: "+name+",") }) {
			t.Fatalf("plant something into the secrets of a target of type %s", name)
		}
	}
	return b
}

// get gives a page of the console.
func get(ctx context.Context, address string) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err.Error()
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<20))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(res.Header, string(body))
}

// TestNothingPlantedIsTold runs all types of targets at debug level against one that fails in
// every way, and looks for planted secrets and planted values of rows in everything that is
// said: the log, the console, the metrics, what commands say, what a crash shows; and for the
// secrets in Redis.
func TestNothingPlantedIsTold(t *testing.T) {
	t.Parallel()
	e := &echo{asked: map[string]int{}, logins: map[string]int{}, rotated: map[string]int{}}
	b := secretive(t, e)
	p := b.start("run")
	b.waitSlot(p)
	b.exec(`TRUNCATE deals`) // of which nothing is found to be removed: that is told at debug level only
	p.says(`"level":"DEBUG"`, 30*time.Second)
	for i := range 40 {
		b.exec(`INSERT INTO deals (id, owner, name, stage, amount, note) VALUES ($1, 1, $2, 'open', 1, $3)`, i, fmt.Sprintf("%s %d", plantedName, i), fmt.Sprintf(`%s'"; %d`, plantedNote, i))
		b.exec(`UPDATE deals SET amount = 2, name = $2 WHERE id = $1`, i, fmt.Sprintf("%s again %d", plantedName, i))
	}
	b.exec(`DELETE FROM deals WHERE id % 5 = 0`)
	told := map[string]string{}
	for _, target := range plantedTargets {
		if !strings.Contains(target.settings, "URL") {
			continue
		}
		until(t, time.Minute, func() string {
			p.mustRun()
			if n := e.askedOf("/" + target.name + "/"); n < 8 {
				return fmt.Sprintf("%s was asked %d times", target.name, n)
			}
			return ""
		})
	}
	until(t, time.Minute, func() string { // what came in place of a refresh token was used, and replaced
		p.mustRun()
		e.mu.Lock()
		defer e.mu.Unlock()
		return unless(e.rotated["/rotating"] > 1 && e.rotated["/hubspotapp"] > 1, fmt.Sprintf("logins %v, with rotated tokens %v", e.logins, e.rotated))
	})
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+/?`).FindString(p.output())
	if address == "" {
		t.Fatalf("the console's address is not told:\n%s", p.output())
	}
	for _, page := range []string{"/", "/api/status", "/metrics", "/readyz", "/livez", "/api/trace?table=deals&key=1"} {
		told["page "+page] = get(t.Context(), strings.TrimSuffix(address, "/")+page)
	}
	if !strings.Contains(told["page /metrics"], "walbridge_") {
		t.Errorf("no metrics: %s", told["page /metrics"])
	}
	if !strings.Contains(told["page /api/trace?table=deals&key=1"], "mapping ") {
		t.Errorf("no story of a record: %s", told["page /api/trace?table=deals&key=1"])
	}
	commands := [][]string{{"status"}, {"status", "--json"}, {"check"}, {"check", "--json"}, {"slot", "show"}, {"target", "list"}, {"backfill", "list"}, {"slot"}, {"trace", "deals", "1"}, {"trace", "deals", "1", "--json"}}
	for _, target := range plantedTargets {
		commands = append(commands, []string{"dlq", "list", "--target", target.name})
	}
	for _, args := range commands {
		out, err := exec.CommandContext(t.Context(), program, append(args, "-c", b.dir+"/walbridge.yaml")...).CombinedOutput()
		told[strings.Join(args, " ")] = fmt.Sprint(string(out), err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGQUIT); err != nil { // what a crash would show
		t.Fatal(err)
	}
	p.asked.Store(true)
	p.wait(10 * time.Second)
	told["the log"] = p.output()
	if !strings.Contains(told["the log"], "goroutine ") {
		t.Errorf("there is no dump:\n%s", tail(told["the log"], 30))
	}
	for what, text := range told {
		for _, planted := range slices.Concat(plantedSecrets, plantedValues) {
			if i := strings.Index(text, planted); i >= 0 {
				t.Errorf("%s tells of %s: …%s…", what, planted, text[max(0, i-300):min(len(text), i+100)])
			}
		}
	}
	b.notInRedis(plantedSecrets...)
}

// noMappings removes the mapping files that every bridge has.
func (b *bridge) noMappings() {
	b.t.Helper()
	for name := range mappingFiles {
		if err := os.Remove(b.dir + "/mappings/" + name); err != nil {
			b.t.Fatal(err)
		}
	}
}

// notInRedis looks for secrets in every key of the bridge.
func (b *bridge) notInRedis(secrets ...string) {
	b.t.Helper()
	ctx, looked := b.t.Context(), 0
	it := b.rdb.Scan(ctx, 0, "*{"+b.name+"*", 1000).Iterator()
	for it.Next(ctx) {
		dump, err := b.rdb.Dump(ctx, it.Val()).Result()
		if err != nil {
			b.t.Fatal(err)
		}
		looked++
		for _, planted := range secrets {
			if strings.Contains(it.Val(), planted) || strings.Contains(dump, planted) {
				b.t.Errorf("the key %s holds %s", it.Val(), planted)
			}
		}
	}
	if err := it.Err(); err != nil || looked == 0 {
		b.t.Fatalf("%d keys of Redis were looked at, %v", looked, err)
	}
}
