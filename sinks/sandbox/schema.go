package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/sinks"
)

// undescribed is the answer for an object without a schema.
type undescribed struct {
	Error   string   `json:"error"`
	Objects []string `json:"objects"`
}

// describe answers GET /{app}/describe/{object}.
func (s *Server) describe(w http.ResponseWriter, r *http.Request) {
	a, err := s.app(r.PathValue("app"))
	if err != nil {
		writeJSON(w, http.StatusNotFound, undescribed{Error: err.Error(), Objects: []string{}})
		return
	}
	if !authorized(r, a.conf.Token) {
		a.count(func(st *Stats) { st.Unauthorized++ })
		w.Header().Set("WWW-Authenticate", "Bearer")
		writeProblem(w, http.StatusUnauthorized, "UNAUTHORIZED", errors.New("the bearer token is missing or wrong"))
		return
	}
	object := r.PathValue("object")
	if schema := a.schemas[object]; schema != nil {
		writeJSON(w, http.StatusOK, schema)
		return
	}
	known := slices.AppendSeq([]string{}, maps.Keys(a.schemas))
	slices.Sort(known)
	writeJSON(w, http.StatusNotFound, undescribed{Error: fmt.Sprintf("no schema of an object %q here", object), Objects: known})
}

// ReadSchemas reads {"crm":{"Account":{"fields":[…]}}}. It takes no app but those named,
// no key that a schema does not have, and no type that there is not. Errors tell the place
// in the text, such as crm.Account.fields[2].type.
func ReadSchemas(data []byte, apps []string) (map[string]map[string]*sinks.Schema, error) {
	byApp, err := readMap[map[string]json.RawMessage]("", data)
	if err != nil {
		return nil, err
	}
	out := make(map[string]map[string]*sinks.Schema, len(byApp))
	for _, app := range slices.Sorted(maps.Keys(byApp)) { // so that of several mistakes the same one is told
		if !slices.Contains(apps, app) {
			return nil, fmt.Errorf("%s: no app of this name; there are %s", app, strings.Join(apps, ", "))
		}
		out[app] = make(map[string]*sinks.Schema, len(byApp[app]))
		for _, object := range slices.Sorted(maps.Keys(byApp[app])) {
			s, err := readSchema(app+"."+object, byApp[app][object])
			if err != nil {
				return nil, err
			}
			out[app][object] = s
		}
	}
	return out, nil
}

func readSchema(at string, data []byte) (*sinks.Schema, error) {
	keys, err := readMap[json.RawMessage](at, data)
	if err != nil {
		return nil, err
	}
	if err := known(at, keys, "fields", "open"); err != nil {
		return nil, err
	}
	var fields []json.RawMessage
	if raw, ok := keys["fields"]; ok {
		if err := json.Unmarshal(raw, &fields); err != nil {
			return nil, fmt.Errorf("%s.fields: want a list of fields", at)
		}
	}
	for i, raw := range fields {
		if err := readField(fmt.Sprintf("%s.fields[%d]", at, i), raw); err != nil {
			return nil, err
		}
	}
	s := &sinks.Schema{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("%s: %w", at, plain(err))
	}
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return s, nil
}

// fieldKeys are what json knows of sinks.SchemaField.
var fieldKeys = []string{"name", "type", "length", "precision", "scale", "required", "not_null", "read_only", "create_only", "key", "values"}

func readField(at string, data []byte) error {
	keys, err := readMap[json.RawMessage](at, data)
	if err != nil {
		return err
	}
	if err := known(at, keys, fieldKeys...); err != nil {
		return err
	}
	var f sinks.SchemaField
	if err := json.Unmarshal(data, &f); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			at += "." + wrong.Field
		}
		return fmt.Errorf("%s: %w", at, plain(err))
	}
	if types := sinks.FieldTypes(); !slices.Contains(types, f.Type) {
		return fmt.Errorf("%s.type: no type %q; there are %s", at, f.Type, listed(types))
	}
	return nil
}

// readMap reads an object; at is its place.
func readMap[V any](at string, data []byte) (map[string]V, error) {
	var m map[string]V
	err := json.Unmarshal(data, &m)
	if err == nil && m != nil {
		return m, nil
	}
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("line %d: not JSON: %w", 1+bytes.Count(data[:min(int(syntax.Offset), len(data))], []byte("\n")), err)
	case at == "":
		return nil, errors.New(`want {"APP":{"OBJECT":{"fields":[…]}}}`)
	}
	return nil, fmt.Errorf("%s: want an object in braces", at)
}

func known(at string, keys map[string]json.RawMessage, names ...string) error {
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(names, key) {
			return fmt.Errorf("%s.%s: no such key; there are %s", at, key, strings.Join(names, ", "))
		}
	}
	return nil
}

func listed(types []sinks.FieldType) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return strings.Join(names, ", ")
}

// plain says of a value of another type what was wanted, without Go's words for it.
func plain(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	want := map[string]string{"string": "a text", "int": "a whole number", "bool": "true or false", "slice": "a list of texts"}[wrong.Type.Kind().String()]
	return fmt.Errorf("want %s, not a value of type %s", want, wrong.Value)
}
