// Command reader prints the changes of a bridge as they come. docs/events.md shows it.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"slices"

	"github.com/redis/go-redis/v9"
)

func main() { // reader ADDRESS NAME, such as: reader localhost:6379 sales
	ctx, name, streams := context.Background(), os.Args[2], []string{}
	rdb := redis.NewClient(&redis.Options{Addr: os.Args[1]})
	partitions, err := rdb.HGet(ctx, "walbridge:{"+name+"}:meta", "partitions").Int()
	for i := range 3 * partitions {
		streams = append(streams, fmt.Sprintf("walbridge:{%s:%d}:log:%s", name, i/3, []string{"urgent", "normal", "bulk"}[i%3]))
	}
	at := append(streams, slices.Repeat([]string{"0"}, len(streams))...) // the streams, then the last id read of each
	for err == nil {
		var answer []redis.XStream
		answer, err = rdb.XRead(ctx, &redis.XReadArgs{Streams: at, Count: 100}).Result() // waits for an entry
		for _, s := range answer {
			for _, m := range s.Messages {
				fmt.Println(m.Values["op"], m.Values["table"], m.Values["key"], m.Values["after"])
				at[len(streams)+slices.Index(streams, s.Stream)] = m.ID
			}
		}
	}
	log.Fatal(err)
}
