package main

import (
	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/mapping/schema"
)

func schemaCommand() *cobra.Command {
	var ofConfig bool
	c := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of mapping files, or of walbridge.yaml",
		Long: `Print the JSON Schema (draft 2020-12) of mapping files. An editor with the YAML
language server completes and checks a file by it, if its first line says so:

  walbridge schema > mapping.schema.json
  # yaml-language-server: $schema=./mapping.schema.json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			text := schema.Mapping()
			if ofConfig {
				text = config.Schema()
			}
			_, err := cmd.OutOrStdout().Write(text)
			return err
		},
	}
	c.Flags().BoolVar(&ofConfig, "config", false, "the schema of walbridge.yaml")
	return c
}
