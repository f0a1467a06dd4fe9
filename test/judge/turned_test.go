package judge

import (
	"context"
	"slices"

	"github.com/redis/go-redis/v9"
)

// turned turns the answers to XRANGE round.
type turned struct{}

func (turned) DialHook(next redis.DialHook) redis.DialHook { return next }

func (turned) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if c, ok := cmd.(*redis.XMessageSliceCmd); ok {
			list := slices.Clone(c.Val())
			slices.Reverse(list)
			c.SetVal(list)
		}
		return err
	}
}

func (turned) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
