package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/vendors"
	"github.com/walbridge/walbridge/mapping/nearest"
)

func presetCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "preset",
		Short: "Show how known APIs are spoken to",
		Long: `Show the presets of targets of type http: forms that say how an API is spoken to. A
target uses one with preset: NAME, and may say parts of it otherwise with form: {…}.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "List the presets",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			for _, name := range vendors.Presets() {
				if _, err := fmt.Fprintln(c.OutOrStdout(), name); err != nil {
					return err
				}
			}
			return nil
		},
	}, &cobra.Command{
		Use:   "show NAME",
		Short: "Print a preset, as a file to start one's own from",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{fmt.Errorf("name one preset: %s", nearest.List(vendors.Presets()))}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			text, ok := vendors.Preset(args[0])
			if !ok {
				return &usageError{fmt.Errorf("no preset is named %q; %s", args[0], nearest.Hint(args[0], vendors.Presets(), "known are "+nearest.List(vendors.Presets())))}
			}
			_, err := c.OutOrStdout().Write(text)
			return err
		},
	})
	return c
}
