package config

import _ "embed"

//go:embed config.schema.json
var schema []byte

// Schema gives the JSON Schema (draft 2020-12) of configuration files, by which editors
// complete and check them. It describes the form that Load reads; values that follow
// from the environment are taken as they are.
func Schema() []byte { return schema }

// SchemaFile is how the schema's file is named beside walbridge.yaml.
const SchemaFile = "walbridge.schema.json"
