// Package presets holds the forms of known APIs, as files: NAME.yaml. They are read as those
// are that people write (package formfile, among the commands), so that each is an example
// too.
package presets

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// Names lists the presets, sorted.
func Names() (names []string) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil { // what is embedded is the same in each build
		panic("presets: " + err.Error())
	}
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// File gives the text of a preset; false if there is none of that name.
func File(name string) ([]byte, bool) {
	text, err := files.ReadFile(name + ".yaml")
	return text, err == nil
}
