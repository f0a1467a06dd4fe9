package console

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
)

func page(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(static, "static", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := static.ReadFile(path)
		out[strings.TrimPrefix(path, "static/")] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What the policy would block, and what could turn a text into markup, is not
// in the page at all.
func TestPageHoldsToItsPolicy(t *testing.T) {
	banned := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|DOMParser|https?://|<style|\sstyle=|\son[a-z]+="|javascript:|@import|url\(`)
	inline := regexp.MustCompile(`<script[^>]*>[^<]`)
	for name, text := range page(t) {
		if name == "favicon.svg" {
			continue // an address is the name of its format
		}
		if found := banned.FindString(text); found != "" {
			t.Errorf("%s holds %q", name, found)
		}
		if found := inline.FindString(text); found != "" {
			t.Errorf("%s holds an inline script", name)
		}
	}
}

func TestEveryFileIsServed(t *testing.T) {
	served := map[string]bool{}
	for _, f := range files {
		served[f.name] = true
	}
	for name := range page(t) {
		if !served[name] {
			t.Errorf("%s is embedded but has no route", name)
		}
	}
}

// The page reads the names that the JSON has; nothing else would notice a
// renamed field.
func TestPageReadsWhatTheStatusHolds(t *testing.T) {
	body, err := ask(&fake{status: full()})
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range regexp.MustCompile(`"([a-z0-9_]+)":`).FindAllStringSubmatch(string(body), -1) {
		known[m[1]] = true
	}
	read := map[string]bool{}
	for _, name := range []string{"app.js", "format.js"} {
		for _, m := range regexp.MustCompile(`\b(?:status|capture|log|target|lane|t|l)\.([a-z0-9_]+)\b`).FindAllStringSubmatch(page(t)[name], -1) {
			read[m[1]] = true
		}
	}
	for name := range read {
		if !known[name] {
			t.Errorf("the page reads %q, which the status does not hold", name)
		}
	}
	for name := range known {
		if !read[name] {
			t.Errorf("the status holds %q, which the page does not show", name)
		}
	}
}

// Every node that the script asks for by its id is in the page.
func TestPageHasTheNodes(t *testing.T) {
	p := page(t)
	asked := regexp.MustCompile(`byId\("([a-z-]+)"\)`).FindAllStringSubmatch(p["app.js"], -1)
	if len(asked) < 10 {
		t.Fatalf("only %d nodes found in the script", len(asked))
	}
	for _, m := range asked {
		if !strings.Contains(p["index.html"], `id="`+m[1]+`"`) {
			t.Errorf("the script asks for #%s, which is not in the page", m[1])
		}
	}
}
