package sandbox

import (
	"cmp"
	"embed"
	"maps"
	"net/http"
	"slices"
)

//go:embed page
var pageFiles embed.FS

// newestShown is how many records of each object the page shows.
const newestShown = 8

// policy lets the page run its own script and speak to its own server only.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// servePage serves one embedded file.
func servePage(file, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		body, err := pageFiles.ReadFile(file)
		if err != nil {
			http.Error(w, "read page", http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		// An error here means that the browser has gone; there is nobody to tell.
		_, _ = w.Write(body)
	}
}

// appSummary is what the page shows of an app.
type appSummary struct {
	App     string          `json:"app"`
	Stats   Stats           `json:"stats"`
	Objects []objectSummary `json:"objects"`
}

type objectSummary struct {
	Object   string       `json:"object"`
	Count    int          `json:"count"`
	Archived int          `json:"archived"`
	Newest   []objectJSON `json:"newest"`
}

func (s *Server) getSummary(w http.ResponseWriter, _ *http.Request) {
	out := make([]any, 0, len(s.apps)+len(s.sims)) // of appSummary, then of simSummary
	for _, name := range s.Apps() {
		a := s.apps[name]
		out = append(out, appSummary{App: name, Stats: a.snapshotStats(), Objects: a.summary()})
	}
	for _, name := range s.Simulations() {
		out = append(out, s.sims[name].summary())
	}
	writeJSON(w, http.StatusOK, out)
}

// summary lists the kinds of object, sorted, with the newest records of each.
func (a *app) summary() []objectSummary {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]objectSummary, 0, len(a.objects))
	for _, object := range slices.Sorted(maps.Keys(a.objects)) {
		sum := objectSummary{Object: object, Newest: []objectJSON{}}
		newest := make([]keyed, 0, newestShown+1)
		for key, o := range a.objects[object] {
			sum.Count++
			if o.Archived {
				sum.Archived++
			}
			newest = insertNewest(newest, keyed{key, o})
		}
		for _, k := range newest {
			o := k.Object
			o.Fields = maps.Clone(o.Fields)
			sum.Newest = append(sum.Newest, newObjectJSON(k.key, o))
		}
		out = append(out, sum)
	}
	return out
}

type keyed struct {
	key string
	*stored
}

// insertNewest keeps the newest few, newest first.
func insertNewest(list []keyed, k keyed) []keyed {
	at, _ := slices.BinarySearchFunc(list, k, func(x, y keyed) int { return cmp.Compare(y.seq, x.seq) })
	if at >= newestShown {
		return list
	}
	list = slices.Insert(list, at, k)
	return list[:min(len(list), newestShown)]
}
