package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/walbridge/walbridge/sinks/sandbox"
	"github.com/walbridge/walbridge/sinks/sandbox/captivateiq"
	"github.com/walbridge/walbridge/sinks/sandbox/hubspot"
	"github.com/walbridge/walbridge/sinks/sandbox/restapi"
	"github.com/walbridge/walbridge/sinks/sandbox/salesforce"
	"github.com/walbridge/walbridge/sinks/sandbox/sim"
)

func sandboxCommand() *cobra.Command {
	listen, schema := "127.0.0.1:8650", ""
	c := &cobra.Command{
		Use:   "sandbox",
		Short: "Serve simulated targets to try mappings against",
		Long: `Serve simulated targets, and a page that shows what they hold. They keep everything
in memory.

crm, forecast and commission are plain: each takes batches at /NAME/batch. With --schema
they describe their objects at /NAME/describe/OBJECT, and refuse records as a CRM would:
{"crm":{"Account":{"fields":[{"name":"Name","type":"text"}]}}}. Objects of salesforce take
the place of the simulated org's own.

The others are APIs of somebody else, with their rules and limits:

  /salesforce   Salesforce: login with any client id and secret, a JWT for any user, or any
                refresh token; the API, also composite and bulk, below /services/data
  /hubspot      HubSpot: any bearer token or refresh token; the CRM API with the limits of a
                private app
  /captivateiq  CaptivateIQ: any token; data worksheets, with the limits of the standard plan
                and its firewall
  /rest         an API without upsert: records below /COLLECTION, webhooks to /hooks/NAME

Faults are posted to /_faults, such as an outage until it is cleared, and a record that is locked:

  curl 127.0.0.1:8650/_faults -d '{"faults":[{"kind":"status","app":"crm","status":503,"times":-1}]}'
  curl 127.0.0.1:8650/_faults -d '{"faults":[{"kind":"refuse","app":"salesforce","object":"Account","times":-1,
    "refusal":{"field":"Name","value":"Acme","code":"UNABLE_TO_LOCK_ROW","retryable":true}}]}'
  curl 127.0.0.1:8650/_faults -d '{"clear":true}'

The kinds are status (with retry_after), delay, hang, reset, truncate, garbage and refuse;
of a simulated API, object is a part of the path, such as composite.
They have more switches, such as sessions that end, refresh tokens that rotate, a daily limit that is nearly spent, a lock
of writes, answers of 502, a unique field, and the key that webhooks are to be signed with:

  curl 127.0.0.1:8650/salesforce/_control -d '{"expire_sessions":true,"spend_calls":99000}'
  curl 127.0.0.1:8650/salesforce/_control -d '{"rotate_refresh":true}'
  curl 127.0.0.1:8650/hubspot/_control -d '{"lock":1}'
  curl 127.0.0.1:8650/captivateiq/_control -d '{"slow":1,"carried_out":true}'
  curl 127.0.0.1:8650/rest/_control -d '{"rules":{"deals":{"unique":["reference"]}},"hooks":{"won":["whsec_…"]}}'

What arrived is at /NAME/objects/OBJECT of the plain ones, how much at /_stats.`,
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
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s", addresses(server, l.Addr())); err != nil {
				return err
			}
			return serve(cmd.Context(), l, server)
		},
	}
	c.Flags().StringVar(&listen, "listen", listen, "the address to serve on; it asks for no password, so keep it on this machine")
	c.Flags().StringVar(&schema, "schema", "", "a JSON `file` with the schemas of objects, by app")
	return c
}

// org is the simulation that schemas can be given for.
const org = "salesforce"

// simulations are the APIs of somebody else that the sandbox serves.
func simulations() (map[string]sim.Simulation, error) {
	rest, err := restapi.New(restapi.Options{})
	if err != nil {
		return nil, fmt.Errorf("simulate an API: %w", err)
	}
	return map[string]sim.Simulation{
		org:           salesforce.New(salesforce.Options{}),
		"hubspot":     hubspot.New(hubspot.Options{Limits: hubspot.DefaultLimits()}),
		"captivateiq": captivateiq.New(captivateiq.Options{Limits: captivateiq.StandardLimits(), Firewall: true}),
		"rest":        rest,
	}, nil
}

// addresses tells where the targets are.
func addresses(s *sandbox.Server, at net.Addr) string {
	var b strings.Builder
	row := func(name, address string) { fmt.Fprintf(&b, "%-12s http://%s%s\n", name, at, address) }
	for _, name := range s.Apps() {
		row(name, "/"+name+"/batch")
	}
	for _, name := range s.Simulations() {
		row(name, "/"+name)
	}
	row("page", "/")
	return b.String()
}

// newSandbox makes the targets, with the schemas of a file if there is one.
func newSandbox(schemaFile string) (*sandbox.Server, error) {
	simulated, err := simulations()
	if err != nil {
		return nil, err
	}
	o := sandbox.Options{Simulations: simulated}
	if schemaFile == "" {
		return sandbox.New(o), nil
	}
	data, err := os.ReadFile(schemaFile)
	if err != nil {
		return nil, fmt.Errorf("read --schema: %w; name a file such as docs/examples/salesforce-crm/targets.json", err)
	}
	names := append(sandbox.New(sandbox.Options{}).Apps(), org)
	if o.Schemas, err = sandbox.ReadSchemas(data, names); err != nil {
		return nil, fmt.Errorf("read --schema %s: %w", schemaFile, err)
	}
	if own := o.Schemas[org]; own != nil {
		o.Simulations[org] = salesforce.New(salesforce.Options{Objects: salesforce.WithSchemas(own)})
	}
	return sandbox.New(o), nil
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
