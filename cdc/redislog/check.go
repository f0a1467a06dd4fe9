package redislog

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/walbridge/walbridge/cdc"
)

// Connect makes a client for the servers of a log, without a look at the log. It connects when
// it is used first.
func Connect(o Options) (redis.UniversalClient, error) {
	client, _, err := connect(&o)
	return client, err
}

// Inspection is what servers have for a log that need not be made yet.
type Inspection struct {
	Servers []ServerReport
	// Durability is what the least of the servers does to keep the log, Why what keeps it
	// from doing more, with what to do.
	Durability Durability
	Why        string
	// Troubles are what a start refuses.
	Troubles []*cdc.SetupError
	// SystemID is the server that the log was filled from; empty before the first capture.
	SystemID string
	// Began tells how those of the targets began that did.
	Began map[string]Beginning
}

// ServerReport is what one server says of itself.
type ServerReport struct {
	Address string
	Version string
	// Silent tells that the server does not let us ask for its memory, Hint what to do.
	Silent bool
	Hint   string
	Policy string
	Memory Memory
}

// Inspect looks at the servers of a log and changes nothing. A server that cannot be used
// is a SetupError. Of the targets it looks whether they began.
func Inspect(ctx context.Context, o Options, targets ...string) (out *Inspection, err error) {
	client, from, err := connect(&o)
	if err != nil {
		return nil, err
	}
	l := &Log{keys: Keys{Name: o.Name}, partitions: o.Partitions, replicas: o.Replicas, logger: o.Logger, client: client, byStream: map[cdc.Stream]int{}}
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, &cdc.SetupError{What: "redis at " + from.where + " cannot be used", Err: err, Hint: from.hint}
	}
	for _, lane := range cdc.Lanes() {
		for p := range l.partitions {
			l.streams = append(l.streams, cdc.Stream{Lane: lane, Partition: p})
		}
	}
	l.split(len(o.Cluster) > 0)
	out = &Inspection{}
	if err := l.inspectServers(ctx, from.where, out); err != nil {
		return nil, err
	}
	var se *cdc.SetupError
	out.Durability, out.Why, err = l.FindDurability(ctx)
	switch {
	case errors.As(err, &se):
		out.Troubles = append(out.Troubles, se)
	case err != nil:
		return nil, err
	}
	have, err := client.HMGet(ctx, l.keys.Meta(), metaVersion, metaPartitions).Result()
	if err != nil {
		return nil, fmt.Errorf("read description of the log: %w", err)
	}
	if have[0] != nil && have[1] != nil {
		if trouble := l.misfit(fmt.Sprint(have[0]), fmt.Sprint(have[1])); trouble != nil {
			out.Troubles = append(out.Troubles, trouble)
			return out, nil
		}
	}
	epoch, _, err := l.Epoch(ctx)
	if err != nil {
		return nil, err
	}
	out.SystemID = epoch.SystemID
	out.Began = map[string]Beginning{}
	for _, t := range targets {
		b, ok, err := l.Began(ctx, t)
		if err != nil {
			return nil, err
		}
		if ok {
			out.Began[t] = b
		}
	}
	return out, nil
}

func (l *Log) inspectServers(ctx context.Context, where string, out *Inspection) error {
	places, err := l.places(ctx, l.client)
	if err != nil {
		return err
	}
	for _, p := range places {
		r := ServerReport{Address: where}
		if len(places) > 1 {
			r.Address = p.client.Options().Addr
		}
		memory, err := infoOf(ctx, p.client, "memory")
		if isRefused(err) {
			r.Silent, r.Hint = true, mayInfo
			out.Servers = append(out.Servers, r)
			continue
		}
		if err != nil {
			return fmt.Errorf("read memory of redis at %s: %w", r.Address, err)
		}
		server, err := infoOf(ctx, p.client, "server")
		if err != nil {
			return fmt.Errorf("read version of redis at %s: %w", r.Address, err)
		}
		r.Version, r.Policy, r.Memory = "Redis "+server["redis_version"], memory["maxmemory_policy"], memoryOf(memory)
		if v := server["valkey_version"]; v != "" {
			r.Version = "Valkey " + v
		}
		if trouble := policyTrouble(r.Address, r.Policy); trouble != nil {
			out.Troubles = append(out.Troubles, trouble)
		}
		out.Servers = append(out.Servers, r)
	}
	return nil
}
