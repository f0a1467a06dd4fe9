package docs

import (
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/cdc/pgsource"
	"github.com/walbridge/walbridge/sinks/deadletter"
	"github.com/walbridge/walbridge/sinks/deliver"
)

// sources is the text of the program, without its tests.
func sources(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, dir := range []string{"cdc", "cmd", "sinks", "mapping"} {
		err := fs.WalkDir(os.DirFS(filepath.Join(root, dir)), ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b.WriteString(read(t, filepath.Join(dir, path)))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// What the page of the capture quotes is what the program says.
func TestCapturePageQuotesTheProgram(t *testing.T) {
	page, program := read(t, "docs/capture.md"), sources(t)
	said := regexp.MustCompile(`msg="([^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(said) < 10 {
		t.Errorf("the page quotes only %d log lines", len(said))
	}
	for _, m := range said {
		if !strings.Contains(program, `"`+m[1]+`"`) {
			t.Errorf("nothing in the program says %q", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`walbridge_(?:capture_)?([a-z_]+)`).FindAllStringSubmatch(page, -1) {
		if m[1] != "sales" && !strings.Contains(program, `"`+m[1]+`"`) {
			t.Errorf("the program has no metric %s", m[0])
		}
	}
	for _, reason := range pgsource.Losses() {
		if !strings.Contains(page, "`"+reason+"`") {
			t.Errorf("the page does not tell of the loss %s", reason)
		}
	}
}

// So is what the page of the log quotes, and its metrics and the settings are there.
func TestLogPageQuotesTheProgram(t *testing.T) {
	page, program := read(t, "docs/log.md"), sources(t)
	for _, m := range regexp.MustCompile(`msg="?([^"`+"`"+`]+)`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(program, `"`+m[1]+`"`) {
			t.Errorf("nothing in the program says %q", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`walbridge_(?:log|capture)_([a-z_]+)`").FindAllStringSubmatch(page, -1) {
		if !strings.Contains(program, `"`+m[1]+`"`) {
			t.Errorf("the program has no metric %s", m[0])
		}
	}
	settings := read(t, "docs/configuration.md")
	for _, m := range regexp.MustCompile("`(redis\\.[a-z_.]+)[`:]").FindAllStringSubmatch(page, -1) {
		if !strings.Contains(settings, "| `"+m[1]+"` |") {
			t.Errorf("the page of the settings has no %s", m[1])
		}
	}
}

// So is what the page of delivery quotes; the settings and commands are there, and the
// names of the fields are those of an entry.
func TestDeliveryPageQuotesTheProgram(t *testing.T) {
	page, program := read(t, "docs/delivery.md"), sources(t)
	for _, m := range regexp.MustCompile(`msg="?([^"`+"`"+`]+)`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(program, `"`+m[1]+`"`) {
			t.Errorf("nothing in the program says %q", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`walbridge_delivery_([a-z_]+)`").FindAllStringSubmatch(page, -1) {
		if !strings.Contains(program, `"`+m[1]+`"`) && !strings.Contains(program, `"walbridge_delivery_`+m[1]+`"`) {
			t.Errorf("the program has no metric %s", m[0])
		}
	}
	for _, reason := range []string{deliver.LossFull, deliver.LossOld} {
		if !strings.Contains(page, reason) {
			t.Errorf("the page does not tell of the loss %s", reason)
		}
	}
	settings := read(t, "docs/configuration.md")
	for _, m := range regexp.MustCompile("`(delivery\\.[a-z_.]+)`").FindAllStringSubmatch(page, -1) {
		if !strings.Contains(settings, "| `"+m[1]+"` |") {
			t.Errorf("the page of the settings has no %s", m[1])
		}
	}
	args := (&deadletter.Letter{}).Append(nil)
	for i := 0; i < len(args); i += 2 {
		if !strings.Contains(page, fmt.Sprintf("`%s`", args[i])) {
			t.Errorf("the page does not tell of the field %s", args[i])
		}
	}
	if len(args) != 2*deadletter.FieldCount {
		t.Errorf("a letter has %d fields, not %d", len(args)/2, deadletter.FieldCount)
	}
}

// The page of the entries names every field that the golden files have, and its hashes
// are those of the function that is part of the contract.
func TestEventsPageIsComplete(t *testing.T) {
	page := read(t, "docs/events.md")
	files, err := filepath.Glob(filepath.Join(root, "cdc/redislog/testdata/*.golden"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+) +\S`).FindAllSubmatch(text, -1) {
			if !strings.Contains(page, fmt.Sprintf("\n| `%s` |", m[1])) {
				t.Errorf("the page does not tell of the field %s", m[1])
			}
		}
	}
	for _, key := range []string{`{"id":1}`, `{"region":"Zürich","quarter":3}`} {
		h := fnv.New64a()
		fmt.Fprintf(h, "public.deals\x00%s", key)
		n := cdc.PartitionOf("public.deals", []byte(key), 8)
		if uint64(n) != h.Sum64()%8 {
			t.Errorf("the partition of %s is %d, its hash %d", key, n, h.Sum64())
		}
		if said := strings.Join(strings.Fields(page), " "); !strings.Contains(said, fmt.Sprintf("`%s`", key)) ||
			!strings.Contains(said, fmt.Sprint(h.Sum64())) || !strings.Contains(said, fmt.Sprintf("partition %d of 8", n)) {
			t.Errorf("the page lacks %s with hash %d and partition %d of 8", key, h.Sum64(), n)
		}
	}
}

// Links between the pages lead to files that are there.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for _, glob := range []string{"*.md", "docs/*.md", "docs/*/*.md", "docs/*/*/*.md"} {
		pages, err := filepath.Glob(filepath.Join(root, glob))
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range link.FindAllSubmatch(text, -1) {
				if _, err := os.Stat(filepath.Join(filepath.Dir(page), string(m[1]))); err != nil {
					t.Errorf("%s: the link to %s: %v", page, m[1], err)
				}
			}
		}
	}
}
