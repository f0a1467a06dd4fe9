package salesforce

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/walbridge/walbridge/sinks"
	"github.com/walbridge/walbridge/sinks/transport"
)

// Deliver sends a batch: upserts and deletes of up to 1,000 records in one API call, mostly. A
// batch with Bulk set goes by a job of Bulk API 2.0, if there are notes.
func (c *Client) Deliver(ctx context.Context, b sinks.Batch) ([]sinks.Result, error) {
	if len(b.Records) == 0 {
		return nil, nil
	}
	asJob := b.Bulk && c.notes != nil && c.limits.Bulk.From > 0
	timeout := c.limits.Timeout
	if asJob {
		timeout = c.limits.Bulk.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	d := &delivery{c: c, b: &b, out: make([]sinks.Result, len(b.Records)), known: make([]bool, len(b.Records))}
	if err := c.settle(ctx, d); err != nil {
		return nil, err
	}
	if asJob {
		// Others do not wait for minutes: what the job writes is kept back from them, and where
		// they lock a row for each other, Salesforce tries the job's part again.
		d.byJob(ctx, d.todo())
	}
	give, err := c.rows.take(ctx, c.lockNames(&b, d.todo()))
	if err != nil {
		d.stop(d.todo(), err)
		return d.results()
	}
	defer give()
	for _, round := range d.rounds(d.todo()) {
		d.byComposite(ctx, round)
	}
	return d.results()
}

// delivery is one Deliver.
type delivery struct {
	c       *Client
	b       *sinks.Batch
	out     []sinks.Result
	known   []bool // by record, whether out has its result
	said    int    // how many results are of an answer, or of the record itself
	stopped error  // of the first request that failed as a whole
	splits  int    // calls that were made to find a culprit
}

// maxSplits bounds the calls that look for the records by which others are refused: five parts
// of five parts of a collection are 8 records.
const maxSplits = 16

// todo are the records without a result.
func (d *delivery) todo() (of []int) {
	for i, known := range d.known {
		if !known {
			of = append(of, i)
		}
	}
	return of
}

// set gives a record the result that was found for it.
func (d *delivery) set(i int, r sinks.Result) {
	if !d.known[i] {
		d.known[i], d.out[i] = true, r
		d.said++
	}
}

func (d *delivery) setAll(of []int, err error) {
	for _, i := range of {
		d.set(i, sinks.Result{Err: err})
	}
}

// stop says that a request failed as a whole: for those records that it was to carry.
func (d *delivery) stop(of []int, err error) {
	if d.stopped == nil {
		d.stopped = err
	}
	for _, i := range of {
		if !d.known[i] {
			d.known[i], d.out[i] = true, sinks.Result{Err: err}
		}
	}
}

// results gives what was found. Where nothing was, the error is that of the request.
func (d *delivery) results() ([]sinks.Result, error) {
	if d.said == 0 && d.stopped != nil {
		return nil, d.stopped
	}
	var rej *sinks.Rejected
	for i, known := range d.known {
		switch {
		case !known:
			d.out[i].Err = &sinks.Retryable{Unknown: true, Err: errors.New("the answer says nothing of the record")}
		case d.stopped != nil && errors.Is(d.out[i].Err, d.stopped) && errors.As(d.stopped, &rej):
			// A request of many was refused as such, and nobody knows by which of them.
			d.out[i].Err = unsent(d.stopped)
		}
	}
	return d.out, nil
}

// rounds gives records in such parts that none has a key twice: Salesforce takes neither of
// two records with the same key in one collection.
func (d *delivery) rounds(of []int) (out [][]int) {
	seen := make(map[string]int, len(of))
	for _, i := range of {
		key := d.c.FoldKey(d.b.Object, d.b.Records[i].Key)
		n := seen[key]
		seen[key]++
		if n == len(out) {
			out = append(out, nil)
		}
		out[n] = append(out[n], i)
	}
	return out
}

// byComposite sends records by Composite requests.
func (d *delivery) byComposite(ctx context.Context, of []int) {
	if d.stopped != nil {
		d.stop(of, unsent(d.stopped))
		return
	}
	for queue := d.plan(of); len(queue) > 0; {
		var now []piece
		now, queue = pack(queue)
		more, err := d.exchange(ctx, now)
		if err != nil {
			for i := range now {
				d.stop(now[i].of, err)
			}
			for i := range queue {
				d.stop(queue[i].of, unsent(err))
			}
			return
		}
		queue = append(more, queue...)
	}
}

// exchange makes one call of some pieces, and gives those that follow from its answers.
func (d *delivery) exchange(ctx context.Context, pieces []piece) (more []piece, err error) {
	if hasSplit(pieces) {
		if d.splits++; d.splits > maxSplits {
			return nil, &sinks.Retryable{Err: errors.New("not sent: records beside it are refused, and it was not tried without them yet")}
		}
	}
	subs := make([]sub, 0, len(pieces))
	var sent []piece
	for i := range pieces {
		s, err := d.encode(ctx, &pieces[i])
		if err != nil {
			return nil, err
		}
		if len(pieces[i].of) > 0 { // not all were refused before they were sent
			subs, sent = append(subs, s), append(sent, pieces[i])
		}
	}
	if len(subs) == 0 {
		return nil, nil
	}
	a, err := d.c.ask(ctx, call{method: http.MethodPost, path: "/composite", body: composite(subs)})
	if err != nil {
		return nil, err
	}
	answers, err := readComposite(a)
	if err != nil {
		return nil, err
	}
	for i := range sent {
		answer, ok := answers[ref(i)]
		if !ok {
			d.setAll(sent[i].of, transport.ReadError(a.Host, fmt.Errorf("there is no answer to sub-request %d of %d", i+1, len(sent))))
			continue
		}
		more = append(more, d.read(ctx, &sent[i], answer)...)
	}
	return more, nil
}

// pace is how many records of an object go into one collection: fewer where flows and triggers
// of the org run into limits that are of all records of a collection together.
type pace struct {
	mu   sync.Mutex // covers rows
	rows map[string]int
}

func (p *pace) of(object string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.rows[object]; n > 0 {
		return n
	}
	return maxRows
}

// less halves it, once for however many answers were about that many.
func (p *pace) less(object string, than int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rows == nil {
		p.rows = make(map[string]int)
	}
	n := max(1, than/2)
	if old := p.rows[object]; old == 0 || n < old {
		p.rows[object] = n
	}
}

// more gives a part back, after a collection of that many was taken.
func (p *pace) more(object string, than int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.rows[object]; ok && than >= old {
		if p.rows[object] = old + max(1, old/10); p.rows[object] >= maxRows {
			delete(p.rows, object)
		}
	}
}
