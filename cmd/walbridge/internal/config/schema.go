package config

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
)

//go:embed config.schema.json
var baseSchema []byte

// typeSchemas has, as TYPE.json, the settings that belong to one type of targets.
//
//go:embed schema/*.json
var typeSchemas embed.FS

// Schema gives the JSON Schema (draft 2020-12) of configuration files, by which editors
// complete and check them. It describes the form that Load reads; values that follow
// from the environment are taken as they are.
func Schema() []byte { return schema() }

var schema = sync.OnceValue(func() []byte {
	text, err := assemble()
	if err != nil { // what is embedded is the same in each build, and tests read it
		panic("the schema of configuration files: " + err.Error())
	}
	return text
})

// object is a JSON object.
type object = map[string]any

// assemble puts the settings of each type of targets beside those that all have. Which of
// them hold is said by the type, so that an editor tells of one mistake only.
func assemble() ([]byte, error) {
	var doc object
	if err := json.Unmarshal(baseSchema, &doc); err != nil {
		return nil, err
	}
	defs, ok := doc["$defs"].(object)
	if !ok {
		return nil, fmt.Errorf("it has no $defs")
	}
	common, ok := defs["target"].(object)
	if !ok {
		return nil, fmt.Errorf("it has no target")
	}
	shared := common["properties"].(object)
	var names, choices []any
	for _, name := range TargetTypes() {
		text, err := typeSchemas.ReadFile("schema/" + name + ".json")
		if err != nil {
			return nil, err
		}
		var own struct {
			Required   []any
			Properties object
		}
		if err := json.Unmarshal(text, &own); err != nil {
			return nil, fmt.Errorf("type %s: %w", name, err)
		}
		all := maps.Clone(shared)
		maps.Copy(all, own.Properties)
		all["type"] = object{"description": "What kind of system it is, such as " + name + ".", "const": name}
		defs["target_"+name] = object{"type": "object", "additionalProperties": false, "required": own.Required, "properties": all}
		names = append(names, name)
		choices = append(choices, object{
			"if":   object{"required": []any{"type"}, "properties": object{"type": object{"const": name}}},
			"then": object{"$ref": "#/$defs/target_" + name},
		})
	}
	defs["target"] = object{"type": "object", "required": []any{"type"}, "allOf": choices,
		"properties": object{"type": object{"description": "What kind of system it is, such as http.", "enum": names}}}
	return json.MarshalIndent(doc, "", "  ")
}

// SchemaFile is how the schema's file is named beside walbridge.yaml.
const SchemaFile = "walbridge.schema.json"
