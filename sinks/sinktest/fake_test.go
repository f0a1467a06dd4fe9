package sinktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/walbridge/walbridge/sinks"
)

// core is a target as it should be, but for one flaw.
type core struct {
	flaw string
	site Site
	http *http.Client
	stop chan struct{}
	tell func(sinks.Quota)

	mu     sync.Mutex // covers what follows
	token  string
	known  map[string]bool
	inside []chan sinks.Batch // of those that wait for the others
}

// lastOfAll gives to all goroutines of the check what the last of them has come with.
func (c *core) lastOfAll(ctx context.Context, b sinks.Batch) (sinks.Batch, error) {
	mine := make(chan sinks.Batch, 1)
	c.mu.Lock()
	if c.inside = append(c.inside, mine); len(c.inside) == goroutines {
		for _, ch := range c.inside {
			ch <- b
		}
		c.inside = nil
	}
	c.mu.Unlock()
	select {
	case last := <-mine:
		return last, nil
	case <-ctx.Done():
		return b, ctx.Err()
	}
}

// fake hides what core holds.
type fake struct{ *core }

func (fake) String() string       { return "fake" }
func (fake) GoString() string     { return "fake" }
func (fake) LogValue() slog.Value { return slog.StringValue("fake") }

func shown(flaw string, site Site) any {
	if flaw == "shows its options" {
		return site
	}
	return nil
}

func newFake(flaw string, site Site) sinks.Target {
	c := &core{flaw: flaw, site: site, http: &http.Client{Transport: &http.Transport{}}, stop: make(chan struct{}), known: make(map[string]bool)}
	if flaw != "follows redirects" {
		c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	if flaw == "leaks" {
		go func() { <-make(chan struct{}) }()
	}
	if flaw == "shows itself" {
		return struct {
			fake
			Secret string
		}{fake{c}, site.Secret}.fake.core
	}
	return fake{c}
}

func (c *core) Close()                        { c.http.CloseIdleConnections() }
func (c *core) TellQuota(f func(sinks.Quota)) { c.tell = f }
func (c *core) CountsRequests() bool          { return c.flaw != "does not count" }

func (c *core) Limits() sinks.Limits {
	l := sinks.Limits{MaxBatch: 50, MaxInFlight: 2, Timeout: c.site.Timeout}
	switch c.flaw {
	case "no limits":
		l.MaxInFlight = 0
	case "its own timeout":
		l.Timeout = time.Hour
	case "takes too many":
		l.MaxBatch = 51
	}
	return l
}

func (c *core) Abilities(string) sinks.Abilities {
	a := sinks.Abilities{Delete: true, Archive: true, Partial: true, Clear: true, Parents: true, Ordered: true}
	switch c.flaw {
	case "cannot delete", "cannot delete, and says nothing", "cannot delete, in other words":
		a.Delete, a.Archive = false, false
	}
	return a
}

func (c *core) Folds() bool { return c.flaw == "folds keys" }

func (c *core) FoldKey(_ string, key sinks.Field) string {
	if c.flaw == "folds keys" {
		return sinks.InsensitiveKey(key.Value)
	}
	return sinks.ExactKey(key.Value)
}

func (c *core) Deliver(ctx context.Context, b sinks.Batch) ([]sinks.Result, error) {
	if c.flaw == "one batch for all" {
		var err error
		if b, err = c.lastOfAll(ctx, b); err != nil {
			return nil, err
		}
	}
	if c.flaw == "deaf" {
		ctx = context.WithoutCancel(ctx)
	}
	timeout := c.site.Timeout
	switch c.flaw {
	case "no timeout", "deaf":
		timeout = patience + time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	out := make([]sinks.Result, len(b.Records))
	send, at := c.encode(&b, out)
	if len(send) == 0 {
		return out, nil
	}
	body, err := json.Marshal(send)
	if err != nil {
		return nil, &sinks.Rejected{Err: errors.New("encode")}
	}
	answer, err := c.ask(ctx, "/batch", body)
	if err != nil {
		return nil, err
	}
	if err := c.read(answer, send, func(i int) *sinks.Result { return &out[at[i]] }); err != nil {
		return nil, err
	}
	if c.flaw == "too few results" {
		return out[1:], nil
	}
	return out, nil
}

// encode makes the records to send, and where their results belong.
func (c *core) encode(b *sinks.Batch, out []sinks.Result) (send []wireRecord, at []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range b.Records {
		r := &b.Records[i]
		w := wireRecord{Op: r.Op.String(), Key: r.Key.Value, Fields: make(map[string]json.RawMessage), Position: c.position(r), Guard: c.flaw != "no order"}
		key := sinks.ExactKey(r.Key.Value)
		if r.Op != sinks.Upsert && !c.Abilities("").Delete {
			switch c.flaw {
			case "cannot delete":
				out[i].Err = &sinks.Rejected{Err: errors.New("no delete"), Code: sinks.CodeNoDelete}
			case "cannot delete, in other words":
				out[i].Err = &sinks.Rejected{Err: errors.New("no delete"), Code: "sorry"}
			}
			continue
		}
		switch {
		case c.flaw == "only creates", c.flaw == "forgets" && !c.known[key]:
			if r.Op == sinks.Upsert {
				w.Op = "create"
			}
		case c.flaw == "sends once" && c.known[key]:
			continue
		case c.flaw == "no delete at all" && r.Op == sinks.Delete, c.flaw == "no archive at all" && r.Op == sinks.Archive:
			continue
		case c.flaw == "trims keys":
			w.Key = quote(strings.TrimSuffix(key, ".inc"))
		}
		c.known[key] = true
		for j := range r.Fields {
			c.field(&w, &r.Fields[j])
		}
		if c.flaw == "absent is null" && r.Op == sinks.Upsert && w.Fields["Name"] == nil {
			w.Fields["Name"] = json.RawMessage("null")
		}
		send, at = append(send, w), append(at, i)
	}
	return send, at
}

func (c *core) position(r *sinks.Record) uint64 {
	if r.Position.LSN >= 1<<63 {
		return 1<<63 + 1<<40
	}
	if c.flaw != "no ordinals" && r.Position.Ordinal >= 1<<63 {
		return uint64(r.Position.LSN)<<20 + r.Position.Ordinal - 1<<63 + 10
	}
	return uint64(r.Position.LSN) << 20
}

func (c *core) field(w *wireRecord, f *sinks.Field) {
	switch {
	case c.flaw == "no nulls" && string(f.Value) == "null":
	case c.flaw == "floats" && f.Name == "Amount" && f.Value[0] != '"':
		n, err := strconv.ParseFloat(string(f.Value), 64)
		if err != nil {
			panic(err)
		}
		w.Fields[f.Name] = json.RawMessage(strconv.FormatFloat(n, 'f', -1, 64))
	case c.flaw == "changes its batch":
		f.Value = bytes.ToUpper(f.Value)
		w.Fields[f.Name] = f.Value
	default:
		w.Fields[f.Name] = f.Value
	}
}

// read takes the answer apart.
func (c *core) read(body []byte, sent []wireRecord, result func(int) *sinks.Result) error {
	var a wireAnswer
	err := json.Unmarshal(body, &a)
	switch {
	case c.flaw == "2xx is success":
		return nil
	case err != nil && c.flaw == "refuses what it cannot read":
		return &sinks.Rejected{Err: errors.New("read answer")}
	case err != nil && c.flaw == "quotes the answer":
		return &sinks.Retryable{Unknown: true, Err: fmt.Errorf("read answer %s", body)}
	case err != nil:
		return &sinks.Retryable{Unknown: true, Err: errors.New("read answer")}
	}
	bad := false
	for i := range sent {
		found := -1
		for j := range a.Results {
			if a.Results[j].Key == sinks.ExactKey(sent[i].Key) {
				found = j
			}
		}
		if c.flaw == "by order" {
			found = min(i, len(a.Results)-1)
		}
		if found < 0 {
			if c.flaw != "no news is good news" {
				result(i).Err = &sinks.Retryable{Unknown: true, Err: errors.New("no result")}
			}
			continue
		}
		*result(i) = c.outcome(&a.Results[found])
		if bad = bad || result(i).Err != nil; bad && c.flaw == "all or nothing" {
			result(i).Err = &sinks.Retryable{Err: errors.New("another record was bad")}
		}
	}
	return nil
}

func (c *core) outcome(r *wireResult) sinks.Result {
	err := fmt.Errorf("refused: %s", r.Code)
	switch {
	case r.OK == nil && c.flaw == "no ok is no":
		return sinks.Result{Err: &sinks.Rejected{Err: err}}
	case r.OK == nil:
		return sinks.Result{Err: &sinks.Retryable{Unknown: true, Err: errors.New("no outcome")}}
	case *r.OK, r.Code == "NOT_FOUND" && c.flaw != "missing is a mistake":
		return sinks.Result{RemoteID: r.ID}
	case r.Code == "NO_PARENT" && c.flaw != "knows no parents":
		return sinks.Result{Err: &sinks.WaitForParent{Err: err}}
	}
	return sinks.Result{Err: &sinks.Rejected{Err: err, Code: r.Code}}
}

// ask sends a request, with a token, and with a new one if that is refused.
func (c *core) ask(ctx context.Context, path string, body []byte) ([]byte, error) {
	tries := map[string]int{"never renews": 1, "never gives up": 10}[c.flaw]
	if tries == 0 {
		tries = 2
	}
	for ; ; tries-- {
		c.mu.Lock()
		token := c.token
		c.mu.Unlock()
		if token == "" {
			b, err := c.try(ctx, "/token", "", nil)
			if err != nil {
				return nil, err
			}
			token = sinks.ExactKey(bytes.TrimSpace(b))
			c.mu.Lock()
			c.token = token
			c.mu.Unlock()
		}
		b, err := c.try(ctx, path, token, body)
		var una *sinks.Unauthorized
		if !errors.As(err, &una) || una.Forbidden || tries <= 1 {
			return b, err
		}
		c.mu.Lock()
		c.token = ""
		c.mu.Unlock()
	}
}

func (c *core) try(ctx context.Context, path, token string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.site.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, &sinks.Misconfigured{Err: errors.New("make request")}
	}
	req.Header.Set("Authorization", token)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.sendError(err)
	}
	defer res.Body.Close()
	if !(c.flaw == "counts what was taken" && res.StatusCode > 299) {
		sinks.CountRequest(ctx)
	}
	if left, err := strconv.Atoi(res.Header.Get("X-Left")); err == nil && c.tell != nil && c.flaw != "tells no quota" {
		c.tell(sinks.Quota{Daily: sinks.Allowance{Known: true, Left: int64(left)}})
	}
	if res.StatusCode > 299 {
		return nil, c.status(res)
	}
	from := io.Reader(res.Body)
	if c.flaw != "reads without end" {
		from = io.LimitReader(from, 1<<20)
	}
	b, err := io.ReadAll(from)
	if err != nil {
		return nil, &sinks.Retryable{Unknown: true, Err: errors.New("read answer")}
	}
	return b, nil
}

func (c *core) sendError(err error) error {
	var op *net.OpError
	switch {
	case c.flaw == "no kinds":
		return errors.New("send")
	case errors.As(err, &op) && op.Op == "dial" && c.flaw != "all is unknown":
		return &sinks.Retryable{Err: errors.New("connect")}
	case c.flaw == "nothing is unknown":
		return &sinks.Retryable{Err: errors.New("send")}
	}
	return &sinks.Retryable{Unknown: true, Err: errors.New("send")}
}

func (c *core) status(res *http.Response) error {
	err := fmt.Errorf("answered %d", res.StatusCode)
	after := time.Duration(0)
	if n, e := strconv.Atoi(res.Header.Get("Retry-After")); e == nil && c.flaw != "does not wait" {
		after = time.Duration(max(n, 0)) * time.Second
	} else if at, e := http.ParseTime(res.Header.Get("Retry-After")); e == nil && c.flaw != "reads no dates" {
		after = max(time.Until(at), 0)
	}
	s := res.StatusCode
	switch {
	case s == 401, s == 403 && c.flaw != "403 is the record's":
		return &sinks.Unauthorized{Err: err, Forbidden: s == 403}
	case s == 429 && c.flaw != "429 is an error":
		return &sinks.Throttled{Err: err, After: after}
	case s >= 500:
		return &sinks.Retryable{Err: err, After: after, Unknown: c.flaw != "5xx did nothing"}
	case s < 400 && c.flaw != "a redirect is the record's":
		return &sinks.Misconfigured{Err: err}
	case s == 409 && c.flaw == "409 is the token's":
		return &sinks.Unauthorized{Err: err}
	}
	return &sinks.Rejected{Err: err}
}

func (c *core) Describe(ctx context.Context, object string) (*sinks.Schema, error) {
	b, err := c.ask(ctx, "/describe/"+object, nil)
	if is[*sinks.Rejected](err) && c.flaw != "knows all objects" {
		return nil, &sinks.UnknownObject{Object: object}
	}
	s := &sinks.Schema{Open: c.flaw == "knows all objects"}
	if err == nil {
		err = json.Unmarshal(b, s)
	}
	if c.flaw == "no key" {
		s.Fields[0].Key = false
	}
	if c.flaw == "knows all objects" {
		return s, nil
	}
	return s, err
}

func (c *core) ReadBack(ctx context.Context, _, _ string, keys []json.RawMessage, fields []string) (out []sinks.Held, err error) {
	b, err := c.ask(ctx, "/read", nil)
	if err != nil {
		return nil, err
	}
	var all map[string]map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, &sinks.Retryable{Err: errors.New("read")}
	}
	for _, key := range keys {
		held, ok := all[sinks.ExactKey(key)]
		if !ok && c.flaw != "reads what is not there" {
			continue
		}
		h := sinks.Held{Key: key, Fields: make(map[string]json.RawMessage)}
		for _, f := range fields {
			if c.flaw != "reads no fields" {
				h.Fields[f] = held[f]
			}
		}
		out = append(out, h)
	}
	return out, nil
}

func (c *core) Probe(ctx context.Context) error {
	if c.flaw == "probes by writing" {
		_, err := c.Deliver(ctx, sinks.Batch{Records: []sinks.Record{{Op: sinks.Upsert, Key: sinks.Field{Name: "Ext", Value: quote("probe")}}}})
		return err
	}
	_, err := c.try(ctx, "/token", "", nil)
	switch {
	case err == nil, c.flaw == "is always there":
		return nil
	case c.flaw == "probes aloud":
		return fmt.Errorf("probe with %s: %w", c.site.Secret, err)
	}
	return err
}
