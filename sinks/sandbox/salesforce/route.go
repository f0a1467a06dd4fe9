package salesforce

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"encoding/json"
)

// versions answers GET /services/data.
func versions() any {
	type version struct {
		Label   string `json:"label"`
		URL     string `json:"url"`
		Version string `json:"version"`
	}
	list := make([]version, 0, newestVersion-oldestVersion+1)
	for v := oldestVersion; v <= newestVersion; v++ {
		// Three releases a year; 67 is Summer '26.
		season := []string{"Spring", "Summer", "Winter"}[(v-66+3*20)%3]
		year := 26 + (v-66+3*20)/3 - 20
		if season == "Winter" {
			year++
		}
		list = append(list, version{
			Label:   fmt.Sprintf("%s '%02d", season, year),
			URL:     fmt.Sprintf("/services/data/v%d.0", v),
			Version: fmt.Sprintf("%d.0", v),
		})
	}
	return list
}

// dispatch answers a request by its path.
func (c *call) dispatch(escapedPath, rawQuery string) reply {
	m := dataPath.FindStringSubmatch(escapedPath)
	if m == nil {
		return notFound(noResource).reply()
	}
	c.version = m[1]
	if n, err := strconv.Atoi(m[1][1:3]); err != nil || n < oldestVersion || n > newestVersion {
		return notFound(noResource).reply()
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return unreadable("INVALID_QUERY_STRING", "the query of the URL cannot be read").reply()
	}
	c.query = query
	for _, part := range strings.Split(strings.Trim(m[2], "/"), "/") {
		text, err := url.PathUnescape(part)
		if err != nil {
			return notFound(noResource).reply()
		}
		if text != "" {
			c.path = append(c.path, text)
		}
	}
	return c.route()
}

func (c *call) route() reply {
	kind := ""
	if len(c.path) > 0 {
		kind = c.path[0]
	}
	switch rest := c.path[min(1, len(c.path)):]; {
	case kind == "":
		return ok(c.resources())
	case kind == "limits" && len(rest) == 0:
		c.s.count("limits", 1)
		return c.only(c.limits, http.MethodGet)
	case kind == "sobjects":
		return c.routeRows(rest)
	case kind == "composite":
		return c.routeComposite(rest)
	case kind == "query" && len(rest) <= 1:
		c.s.count("query", 1)
		return c.only(func() reply { return c.serveQuery(rest) }, http.MethodGet)
	case kind == "jobs" && len(rest) > 0 && rest[0] == "ingest":
		c.s.count("ingest", 1)
		return c.routeIngest(rest[1:])
	}
	return notFound(noResource).reply()
}

// only answers other methods than those allowed.
func (c *call) only(f func() reply, allowed ...string) reply {
	for _, method := range allowed {
		if c.method == method {
			return f()
		}
	}
	return (&fault{Code: "METHOD_NOT_ALLOWED", Message: fmt.Sprintf("HTTP Method '%s' not allowed. Allowed are %s", c.method, strings.Join(allowed, ",")),
		status: http.StatusMethodNotAllowed}).reply()
}

func (c *call) resources() any {
	out := make(map[string]string)
	for _, name := range []string{"sobjects", "composite", "query", "limits"} {
		out[name] = "/services/data/" + c.version + "/" + name
	}
	return out
}

// limits answers with the limits that are kept here.
func (c *call) limits() reply {
	left := max(0, c.s.o.DailyCalls-c.s.usage.used(c.s.o.Now()))
	return ok(map[string]any{
		"DailyApiRequests":    map[string]int{"Max": c.s.o.DailyCalls, "Remaining": left},
		"DailyBulkApiBatches": map[string]int{"Max": 15_000, "Remaining": 15_000},
	})
}

// readJSON reads the body.
func (c *call) readJSON(into any) *fault {
	if err := json.Unmarshal(c.body, into); err != nil {
		return unreadable("JSON_PARSER_ERROR", "Unexpected character or end of the body: %v", err)
	}
	return nil
}
