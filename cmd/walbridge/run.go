package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/cmd/walbridge/internal/config"
	"github.com/walbridge/walbridge/cmd/walbridge/internal/wire"
)

type runFlags struct {
	file    string
	targets []string
}

func runCommand() *cobra.Command {
	return bridgeCommand("run", "Capture and deliver in one process", &runFlags{}, wire.Parts{Capture: true, AllTargets: true})
}

func captureCommand() *cobra.Command {
	return bridgeCommand("capture", "Only capture: from PostgreSQL into the log", &runFlags{}, wire.Parts{Capture: true})
}

func deliverCommand() *cobra.Command {
	f := &runFlags{}
	c := bridgeCommand("deliver", "Only deliver: from the log to targets; several processes share them", f, wire.Parts{AllTargets: true})
	c.Long = `Deliver from the log to targets. Any number of processes, on one machine or several, may do
so with the same configuration and mapping files: they share the partitions of each target.
walbridge status shows who has which.`
	c.Flags().StringSliceVar(&f.targets, "target", nil, "deliver only to these targets (default all)")
	return c
}

// bridgeCommand makes a command that runs parts of a bridge.
func bridgeCommand(use, short string, f *runFlags, parts wire.Parts) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(f.targets) > 0 {
				parts.AllTargets, parts.Targets = false, f.targets
			}
			return runBridge(cmd.Context(), f.file, parts)
		},
	}
	c.Flags().StringVarP(&f.file, "config", "c", "walbridge.yaml", "the configuration file")
	return c
}

// runBridge runs parts of a bridge until the context ends.
func runBridge(ctx context.Context, file string, parts wire.Parts) error {
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		return err
	}
	for _, t := range parts.Targets {
		if !slices.Contains(cfg.TargetNames(), t) {
			return &usageError{fmt.Errorf("--target %s: no such target in %s; it has %s", t, file, strings.Join(cfg.TargetNames(), ", "))}
		}
	}
	logger := newLogger(cfg.Log)
	b, err := wire.Open(ctx, cfg, wire.Options{Parts: parts, Logger: logger, Version: version()})
	if err != nil && ctx.Err() != nil { // what failed did so because it was to stop
		logger.Info("stopped before the start was complete", "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	return b.Run(ctx)
}

func newLogger(l config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo // validated when it was loaded
	}
	o := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, o))
}
