package mapping

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/walbridge/walbridge/cdc"
)

// LoadCatalog reads what was saved of the source's tables, for work without a
// database.
func LoadCatalog(path string) (*MemoryCatalog, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	var file struct {
		Version int `json:"version"`
		Tables  map[cdc.Table]struct {
			Columns []struct {
				Name    string `json:"name"`
				Type    string `json:"type"`
				NotNull bool   `json:"not_null"`
				Key     bool   `json:"key"`
			} `json:"columns"`
		} `json:"tables"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("read catalog %s: %w", path, err)
	}
	if file.Version != 1 {
		return nil, fmt.Errorf("read catalog %s: it is of version %d, and this walbridge knows 1 only", path, file.Version)
	}
	cat := &MemoryCatalog{TableColumns: map[cdc.Table][]Column{}}
	for table, t := range file.Tables {
		columns := make([]Column, 0, len(t.Columns))
		for _, c := range t.Columns {
			columns = append(columns, Column{Name: c.Name, Type: c.Type, NotNull: c.NotNull, Key: c.Key})
		}
		cat.TableColumns[table] = columns
	}
	return cat, nil
}
