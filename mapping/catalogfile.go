package mapping

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// CatalogName is the name of the file that keeps what the source and the targets said, for
// work without them.
const CatalogName = "catalog.json"

// catalogVersion is that of the file's form.
const catalogVersion = 1

// catalogFile is the form of the file. Maps are written in the order of their keys, so
// that the file changes only where what it tells does.
type catalogFile struct {
	Version int                        `json:"version"`
	Tables  map[cdc.Table]catalogTable `json:"tables"`
	Targets map[string]catalogTarget   `json:"targets,omitempty"`
}

type catalogTable struct {
	Columns []catalogColumn `json:"columns"`
}

type catalogColumn struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	NotNull bool   `json:"not_null,omitempty"`
	Key     bool   `json:"key,omitempty"`
	// Own tells that the type, or that of the items, is not one of PostgreSQL's.
	Own bool `json:"own_type,omitempty"`
	// Labels are those of an enum.
	Labels []string `json:"labels,omitempty"`
}

type catalogTarget struct {
	Objects map[string]*sinks.Schema `json:"objects"`
}

// LoadCatalog reads what was saved of the source's tables and the targets' objects.
func LoadCatalog(path string) (*MemoryCatalog, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	var file catalogFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("read catalog %s: %w", path, err)
	}
	if file.Version != catalogVersion {
		return nil, fmt.Errorf("read catalog %s: it is of version %d, and this walbridge knows %d only", path, file.Version, catalogVersion)
	}
	cat := &MemoryCatalog{TableColumns: map[cdc.Table][]Column{}, Schemas: map[string]map[string]*sinks.Schema{}}
	for table, t := range file.Tables {
		columns := make([]Column, 0, len(t.Columns))
		for _, c := range t.Columns {
			col := Column{Name: c.Name, Type: c.Type, NotNull: c.NotNull, Key: c.Key, Labels: c.Labels}
			if c.Own {
				col.TypeOID = firstUserOID
			}
			columns = append(columns, col)
		}
		cat.TableColumns[table] = columns
	}
	for name, t := range file.Targets {
		cat.Schemas[name] = t.Objects
	}
	return cat, nil
}

// Save writes the catalog for LoadCatalog. The file is replaced as a whole, or not at all.
func (c *MemoryCatalog) Save(path string) (err error) {
	file := catalogFile{Version: catalogVersion, Tables: map[cdc.Table]catalogTable{}, Targets: map[string]catalogTarget{}}
	for table, columns := range c.TableColumns {
		t := catalogTable{Columns: make([]catalogColumn, 0, len(columns))}
		for _, col := range columns {
			t.Columns = append(t.Columns, catalogColumn{Name: col.Name, Type: col.Type, NotNull: col.NotNull, Key: col.Key, Own: col.TypeOID >= firstUserOID, Labels: col.Labels})
		}
		file.Tables[table] = t
	}
	for name, objects := range c.Schemas {
		file.Targets[name] = catalogTarget{Objects: objects}
	}
	var data bytes.Buffer
	e := json.NewEncoder(&data)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(file); err != nil {
		return fmt.Errorf("encode catalog: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".catalog-*")
	if err != nil {
		return fmt.Errorf("write catalog: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name()) // what is said is why it was not written
		}
	}()
	_, err = tmp.Write(data.Bytes())
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write catalog: %w", err)
	}
	return nil
}

// Schema gives what a target said of an object; nil if that is not known.
func (c *MemoryCatalog) Schema(target, object string) *sinks.Schema { return c.Schemas[target][object] }
