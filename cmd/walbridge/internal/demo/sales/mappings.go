package sales

import (
	"embed"
	"io/fs"
)

//go:embed mappings/*.yaml
var mappingFiles embed.FS

// Mappings gives the demo's mapping files, one mapping a file, at the root of
// the file system.
func Mappings() (fs.FS, error) { return fs.Sub(mappingFiles, "mappings") }
