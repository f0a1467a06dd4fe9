package formfile

import (
	"errors"
	"os"
	"strings"

	"github.com/walbridge/walbridge/mapping/nearest"
	"github.com/walbridge/walbridge/mapping/yamldoc"
	"github.com/walbridge/walbridge/sinks/httpapi/form"
	"github.com/walbridge/walbridge/sinks/httpapi/presets"
)

// Section is a part of a document.
type Section struct {
	Doc  *yamldoc.Doc
	Node *yamldoc.Node // nil for none
}

// Source says what a form is made of, one over the other.
type Source struct {
	// Preset is the name of one; empty for none.
	Preset string
	// File is the path of a file with a form, to be read as it is; empty for none.
	File string
	// Form and Auth are sections of the configuration. Secrets are the keys of Auth that are
	// read elsewhere. Their texts may come from the environment, so no excerpt is shown.
	Form, Auth Section
	Secrets    []string
	// URL goes before that of the form. It is not shown.
	URL string
	// Objects are added to those of the form.
	Objects map[string]string
}

// Make reads a form and holds it against what can work. The error is of type yamldoc.Errors,
// with the place of each mistake: that in the section, else in the file, else in the preset,
// or the nearest section above it.
func Make(src Source) (*form.Form, error) {
	f, docs := &form.Form{}, []place{}
	if src.Preset != "" {
		text, ok := presets.File(src.Preset)
		if !ok {
			return nil, yamldoc.Errors{{Path: "preset", Msg: "no such preset", Value: src.Preset,
				Hint: nearest.Hint(src.Preset, presets.Names(), "known are "+nearest.List(presets.Names()))}}
		}
		docs = append(docs, readDoc(f, "preset "+src.Preset, text))
	}
	if src.File != "" {
		text, err := os.ReadFile(src.File)
		if err != nil {
			var pe *os.PathError
			if errors.As(err, &pe) {
				err = pe.Err
			}
			return nil, yamldoc.Errors{{File: src.File, Msg: "cannot be read: " + err.Error(), Hint: "check the path, which is relative to the configuration file"}}
		}
		docs = append(docs, readDoc(f, src.File, text))
	}
	if src.Form.Node != nil {
		doc := src.Form.Doc.Fresh()
		reader{doc}.read(src.Form.Node, f)
		docs = append(docs, place{doc, src.Form.Node, ""})
	}
	if src.Auth.Node != nil {
		doc := src.Auth.Doc.Fresh()
		reader{doc}.auth(src.Auth.Node, &f.Auth, src.Secrets)
		docs = append(docs, place{doc, src.Auth.Node, "auth"})
	}
	var errs yamldoc.Errors
	for _, d := range docs {
		var es yamldoc.Errors
		if errors.As(d.doc.Err(), &es) {
			errs = append(errs, es...)
		}
	}
	if len(errs) > 0 {
		return nil, errs.Err()
	}
	if src.URL != "" {
		f.URL = src.URL
	}
	for name, to := range src.Objects {
		if f.Objects == nil {
			f.Objects = map[string]string{}
		}
		f.Objects[name] = to
	}
	if _, err := form.Compile(f); err != nil {
		return nil, put(docs, err)
	}
	return f, nil
}

// place is a document that a form was read from: the section is at a path of the form.
type place struct {
	doc     *yamldoc.Doc
	section *yamldoc.Node
	at      string
}

func readDoc(f *form.Form, name string, text []byte) place {
	doc, err := yamldoc.Parse(name, text, true)
	if err != nil {
		return place{yamldoc.Broken(name, err), nil, ""}
	}
	reader{doc}.read(doc.Root, f)
	return place{doc, doc.Root, ""}
}

// put gives mistakes of a form their places. The last document that has the value is the one
// that it comes from.
func put(docs []place, err error) error {
	var problems form.Problems
	if !errors.As(err, &problems) || len(docs) == 0 {
		return err
	}
	for _, p := range problems {
		best, node, depth := docs[len(docs)-1], docs[len(docs)-1].section, -1
		for _, d := range docs {
			if n, found := d.find(p.Path); n != nil && found >= depth {
				best, node, depth = d, n, found
			}
		}
		path := p.Path
		if best.section.Path != "" { // as the file names it
			path = strings.TrimSuffix(best.section.Path+"."+strings.TrimPrefix(strings.TrimPrefix(p.Path, best.at), "."), ".")
		}
		value := p.Value
		if node.Expanded {
			value = node.Written
		}
		best.doc.Fail(&yamldoc.Node{Line: node.Line, Column: node.Column, Path: path}, p.Msg, value, p.Hint)
	}
	var errs yamldoc.Errors
	for _, d := range docs {
		var es yamldoc.Errors
		if errors.As(d.doc.Err(), &es) {
			errs = append(errs, es...)
		}
	}
	return errs.Err()
}

// find gives the node of a path of the form, or the nearest section above it, and how much of
// the path leads there.
func (d place) find(path string) (best *yamldoc.Node, depth int) {
	if d.at != "" {
		rest, ok := strings.CutPrefix(path, d.at)
		if !ok || rest != "" && rest[0] != '.' {
			return nil, 0
		}
		depth, path = len(d.at), strings.TrimPrefix(rest, ".")
	}
	best, above := d.section, depth
	d.section.Walk(func(n *yamldoc.Node) {
		at := strings.TrimPrefix(strings.TrimPrefix(n.Path, d.section.Path), ".")
		inside := at != "" && (path == at || strings.HasPrefix(path, at+".") || strings.HasPrefix(path, at+"["))
		if inside && above+len(at) > depth {
			best, depth = n, above+len(at)
		}
	})
	return best, depth
}
