package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/sinks/sandbox"
)

func sandboxCommand() *cobra.Command {
	listen, schema := "127.0.0.1:8650", ""
	c := &cobra.Command{
		Use:   "sandbox",
		Short: "Serve simulated targets to try mappings against",
		Long: `Serve simulated targets: crm, forecast and commission, each at /NAME/batch, and
a page that shows what they hold. They keep everything in memory.

With --schema they describe their objects at /NAME/describe/OBJECT, and refuse
records as a CRM would: {"crm":{"Account":{"fields":[{"name":"Name","type":"text"}]}}}.

Faults are posted to /_faults, such as an outage until it is cleared, and a record that is locked:

  curl 127.0.0.1:8650/_faults -d '{"faults":[{"kind":"status","app":"crm","status":503,"times":-1}]}'
  curl 127.0.0.1:8650/_faults -d '{"faults":[{"kind":"refuse","app":"crm","times":-1,
    "refusal":{"field":"Name","value":"Acme","code":"LOCKED","retryable":true}}]}'
  curl 127.0.0.1:8650/_faults -d '{"clear":true}'

The kinds are status (with retry_after), delay, hang, reset, truncate, garbage and refuse.
What arrived is at /NAME/objects/OBJECT, how much at /_stats.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			server, err := newSandbox(schema)
			if err != nil {
				return err
			}
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("listen on --listen %s: %w; choose another address", listen, err)
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "sandbox targets: http://%s/crm/batch, …/forecast/batch, …/commission/batch\nwhat they hold:  http://%[1]s/\n", l.Addr()); err != nil {
				return err
			}
			return serve(cmd.Context(), l, server)
		},
	}
	c.Flags().StringVar(&listen, "listen", listen, "the address to serve on; it asks for no password, so keep it on this machine")
	c.Flags().StringVar(&schema, "schema", "", "a JSON `file` with the schemas of objects, by app")
	return c
}

// newSandbox makes the targets, with the schemas of a file if there is one.
func newSandbox(schemaFile string) (*sandbox.Server, error) {
	plain := sandbox.New(sandbox.Options{})
	if schemaFile == "" {
		return plain, nil
	}
	data, err := os.ReadFile(schemaFile)
	if err != nil {
		return nil, fmt.Errorf("read --schema: %w; name a file such as docs/examples/salesforce-crm/targets.json", err)
	}
	schemas, err := sandbox.ReadSchemas(data, plain.Apps())
	if err != nil {
		return nil, fmt.Errorf("read --schema %s: %w", schemaFile, err)
	}
	return sandbox.New(sandbox.Options{Schemas: schemas}), nil
}

// serve serves until ctx ends.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() {
		end, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if s.Shutdown(end) != nil {
			_ = s.Close() // what did not end in time is cut off
		}
	})
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}
