package check

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/walbridge/walbridge/mapping"
	"github.com/walbridge/walbridge/mapping/yamldoc"
)

// Run judges the facts.
func Run(f *Facts) *Report {
	r := &Report{Findings: []Finding{}}
	r.configuration(f)
	switch {
	case f.Postgres != nil:
		r.postgres(f.Postgres)
	case f.Offline:
		r.ok(aboutPostgres, "not looked at: offline")
	}
	switch {
	case f.Redis != nil:
		r.redis(f.Redis)
	case f.Offline:
		r.ok(aboutRedis, "not looked at: offline")
	}
	r.source(f)
	for i := range f.Targets {
		r.target(&f.Targets[i], f)
	}
	r.beginnings(f)
	r.mistakes(f)
	if !f.Compiled && len(f.Files) > 0 {
		r.warn("mappings", "they are not held against tables, which are not known", "see to postgres; where it cannot be reached, catalog.json tells them: walbridge check --save")
	}
	for _, file := range f.Files {
		r.mapping(file, f)
	}
	r.siblings(f.Mappings)
	return r
}

// source holds the server against the log, where both tell.
func (r *Report) source(f *Facts) {
	if f.Postgres == nil || f.Redis == nil || f.Postgres.SystemID == "" || f.Redis.SystemID == "" || f.Postgres.SystemID == f.Redis.SystemID {
		return
	}
	r.warn(aboutPostgres, fmt.Sprintf("the log in Redis was filled from another server (system %s, this is %s): a start takes this one for its restore, reads the tables anew and deletes at the targets what is not in them",
		f.Redis.SystemID, f.Postgres.SystemID), "nothing, if this server took the place of the other one; else correct postgres.url or redis.url, or give this bridge a name of its own")
}

// mapping looks at one file with its table and target. Where it has mistakes, which are
// told already, its table is looked at all the same.
func (r *Report) mapping(file *mapping.File, f *Facts) {
	before := r.Warn + r.Fail
	i := slices.IndexFunc(f.Mappings, func(m *mapping.Mapping) bool { return m.Name() == file.Name })
	if i < 0 {
		s := subject{name: file.Name, table: file.From, at: mapping.Place{File: file.Path}}
		r.table(&s, f.Postgres)
		return
	}
	m := f.Mappings[i]
	r.table(&subject{name: m.Name(), table: m.Table(), at: m.From(), columns: m.Columns(), needed: m.Needed(), fits: true}, f.Postgres)
	if f.Postgres != nil && f.Postgres.Err == nil {
		t := f.Postgres.Tables[m.Table()]
		r.identity(m, &t)
	} else {
		r.identity(m, nil)
	}
	r.marks(m)
	r.abilities(m, f)
	checked := r.fields(m, f)
	if r.Warn+r.Fail == before {
		r.ok("mapping "+m.Name(), fitting(m, checked))
	}
}

func fitting(m *mapping.Mapping, checked bool) string {
	if checked {
		return fmt.Sprintf("%s fits %s/%s in all %d fields", m.Table(), m.Target(), m.Object(), len(m.Outputs()))
	}
	return fmt.Sprintf("it fits table %s", m.Table())
}

func (r *Report) configuration(f *Facts) {
	var list yamldoc.Errors
	switch {
	case errors.As(f.ConfigErr, &list):
		for _, e := range list {
			r.mistake(aboutConfiguration, e)
		}
	case f.ConfigErr != nil:
		r.trouble(aboutConfiguration, f.ConfigErr, "")
	default:
		if f.Offline {
			r.ok(aboutConfiguration, "the form of "+f.Config+" is right")
		} else {
			r.ok(aboutConfiguration, f.Config+" is right")
		}
	}
	if f.CatalogErr != nil {
		r.trouble(aboutConfiguration, f.CatalogErr, "run walbridge check --save where the servers can be reached")
	}
	if f.Saved != "" {
		r.ok(aboutConfiguration, "wrote "+f.Saved)
	}
}

// mistake tells of one in a file.
func (r *Report) mistake(about string, e *yamldoc.Error) {
	f := Finding{Level: Fail, About: about, Fix: e.Hint, Excerpt: e.Excerpt}
	bare := *e
	bare.File, bare.Hint = "", ""
	f.What = bare.Error()
	if f.Place = e.File; e.Line > 0 {
		f.Place = fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
	}
	r.add(f)
}

// mistakes tells those of the mapping files.
func (r *Report) mistakes(f *Facts) {
	var list mapping.Errors
	if !errors.As(f.FileErr, &list) {
		if f.FileErr != nil {
			r.trouble("mappings", f.FileErr, "")
		}
		return
	}
	for _, e := range list {
		about := "mapping " + strings.TrimSuffix(filepath.Base(e.File), filepath.Ext(e.File))
		i := slices.IndexFunc(f.Files, func(file *mapping.File) bool { return file.Path == e.File })
		if i < 0 {
			r.mistake(about, e)
			continue
		}
		file := f.Files[i]
		told := *e
		if f.Postgres != nil {
			if of, ok := f.Postgres.Tables[file.From].Generated[e.Value]; ok && strings.HasPrefix(e.Msg, "unknown column") {
				told.Msg = fmt.Sprintf("%s computes the column, and PostgreSQL does not send it:", file.From)
				told.Hint = fmt.Sprintf("write its expression in the mapping; PostgreSQL has %s", of)
			}
		}
		r.mistake("mapping "+file.Name, &told)
	}
}

// at tells of a place in a file.
func (r *Report) at(level Level, name string, p mapping.Place, text [2]string) {
	r.add(Finding{Level: level, About: "mapping " + name, What: text[0], Fix: text[1], Place: p.String()})
}

// siblings looks at mappings that write the same records.
func (r *Report) siblings(list []*mapping.Mapping) {
	for i, m := range list {
		for _, other := range list[:i] {
			key, theirs := m.Outputs()[0].Name, other.Outputs()[0].Name
			if m.Target() != other.Target() || m.Object() != other.Object() {
				continue
			}
			if key == theirs && m.Table() != other.Table() && m.Deletes() && other.Deletes() {
				r.at(Warn, m.Name(), m.To(), [2]string{
					fmt.Sprintf("it writes %s/%s by the key %s, as mapping %s does of another table: rows of both with the same key are one record, and the deletion of one takes it from the other", m.Target(), m.Object(), key, other.Name()),
					"write another object in one of them, or keys that differ, such as 'A-' + string(id); or delete: ignore in all but one"})
			}
			if key != theirs {
				r.at(Warn, m.Name(), m.To(), [2]string{
					fmt.Sprintf("it writes %s/%s by the key %s, and mapping %s by %s: one record may be made twice", m.Target(), m.Object(), key, other.Name(), theirs),
					fmt.Sprintf("write key: {%s: …} in both, or another object in one of them", theirs)})
			}
		}
	}
}
