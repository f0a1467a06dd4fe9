package format

import (
	"slices"
	"strings"
)

// order is the order of a mapping's keys, and of those within their values. The order "*"
// is for all keys, and for the items of a list.
type order struct {
	keys []string
	of   map[string]*order
}

var (
	anyValue = func(o *order) *order { return &order{of: map[string]*order{"*": o}} }
	field    = &order{keys: []string{"value", "const", "write"}}
	// ofMapping is the order in which a mapping is explained: what it is, what comes in,
	// what goes out, when, and whether that is right.
	ofMapping = &order{
		keys: []string{"name", "description", "from", "when", "to", "key", "use", "fields", "delete", "lane", "start", "coalesce", "slo", "tests"},
		of: map[string]*order{
			"fields":   anyValue(field),
			"delete":   {keys: []string{"set"}, of: map[string]*order{"set": anyValue(field)}},
			"coalesce": {keys: []string{"quiet", "max_delay", "max_batch"}},
			"tests": anyValue(&order{
				keys: []string{"name", "given", "expect"},
				of: map[string]*order{
					"given":  {keys: []string{"op", "before", "after", "absent", "delivered"}},
					"expect": {keys: []string{"op", "key", "fields", "error", "unresolved"}},
				},
			}),
		},
	}
	ofConfig = &order{
		keys: []string{"name", "postgres", "redis", "mappings", "targets", "delivery", "listen", "log"},
		of: map[string]*order{
			"postgres": {keys: []string{"url", "slot", "publication", "heartbeat", "wal_budget", "on_loss"}},
			"redis": {
				keys: []string{"url", "tls", "sentinel", "cluster", "replicas", "partitions", "bulk_after", "retention", "high_mark", "on_full"},
				of: map[string]*order{
					"tls":       {keys: []string{"ca", "cert", "key", "server_name", "insecure_skip_verify"}},
					"sentinel":  {keys: []string{"master", "addresses", "password"}},
					"retention": {keys: []string{"age", "bytes"}},
				},
			},
			"targets": anyValue(&order{
				keys: []string{"type", "preset", "form", "url", "version", "token", "login", "auth", "objects", "describe", "headers", "addresses",
					"schema", "create", "position", "duplicates", "assignment", "associations", "bulk",
					"timeout", "max_batch", "max_in_flight", "from", "key_case", "rate", "retry", "errors"},
				of: map[string]*order{
					"rate":  {keys: []string{"account", "per_second", "burst", "bulk_floor", "daily", "keep_for_people"}},
					"retry": {keys: []string{"attempts", "initial", "max"}},
				},
			}),
			"delivery": {
				keys: []string{"lease", "queue_entries", "queue_bytes", "floor", "shutdown", "hold", "deferred", "parents", "dead_letters", "trace"},
				of:   map[string]*order{"deferred": {keys: []string{"count"}}, "parents": {keys: []string{"wait"}}, "dead_letters": {keys: []string{"count", "age"}}, "trace": {keys: []string{"bytes"}}},
			},
			"log": {keys: []string{"level", "format"}},
		},
	}
)

// orderOf gives the order of a file by its keys: nobody writes a mapping with the
// sections of a configuration.
func orderOf(keys []string) *order {
	if slices.ContainsFunc(keys, func(k string) bool { return slices.Contains([]string{"postgres", "redis", "mappings", "targets"}, k) }) {
		return ofConfig
	}
	return ofMapping
}

// inside gives the order of the value of a key, or of an item.
func (o *order) inside(key string) *order {
	if o == nil {
		return nil
	}
	if in, ok := o.of[key]; ok {
		return in
	}
	return o.of["*"]
}

// rank gives the place of a key; those that are not known come last.
func (o *order) rank(key string) int {
	if o == nil {
		return 0
	}
	if i := slices.Index(o.keys, key); i >= 0 {
		return i
	}
	return len(o.keys)
}

// sort puts the keys of a value in order.
func (o *order) sort(v *value) {
	if v == nil || o == nil {
		return
	}
	if v.kind == mapping {
		slices.SortStableFunc(v.entries, func(a, b *entry) int { return o.rank(keyText(a.key)) - o.rank(keyText(b.key)) })
	}
	for _, e := range v.entries {
		o.inside(keyText(e.key)).sort(e.value)
	}
}

// keyText gives a key without quotes. The keys that have an order need no escapes.
func keyText(key string) string { return strings.Trim(key, `"'`) }
