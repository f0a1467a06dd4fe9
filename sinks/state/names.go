package state

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/redis/go-redis/v9"
)

// names are the numbers that stand, in the state of a partition, for what many of its
// keys share: a mapping with the columns of its source keys, and the field of a target
// key. A number is given once and kept, also when the mapping is gone: it may come back,
// and keys of it may still be there.
type names struct {
	mu     sync.RWMutex // covers all below
	number map[string]int
	name   []string // by number; 0 is not given
}

// The marks of a partition that have names: how many numbers are given, and, with a name
// behind it, its number.
const (
	namesField = "\x00names"
	nameField  = "\x00name\x00"
)

// kindMapping and kindField begin a name. That of a mapping has a NUL and the template of
// its keys behind it.
const (
	kindMapping = "m"
	kindField   = "f"
)

// readNames takes the names from the marks of a partition.
func readNames(marks map[string]string) (*names, error) {
	n := &names{number: map[string]int{}, name: make([]string, 1)}
	count := 0
	if text, ok := marks[namesField]; ok {
		var err error
		if count, err = strconv.Atoi(text); err != nil || count < 0 || count > len(marks) {
			return nil, errors.New("read names of the state: their number is not one")
		}
	}
	n.name = make([]string, count+1)
	for field, text := range marks {
		name, ok := strings.CutPrefix(field, nameField)
		if !ok {
			continue
		}
		at, err := strconv.Atoi(text)
		if err != nil || at < 1 || at > count || n.name[at] != "" {
			return nil, fmt.Errorf("read names of the state: %q has no number of its own between 1 and %d", name, count)
		}
		n.number[name], n.name[at] = at, name
	}
	return n, nil
}

func (n *names) of(name string) (number int, ok bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	number, ok = n.number[name]
	return number, ok
}

func (n *names) at(number int) (name string, ok bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if number < 1 || number >= len(n.name) || n.name[number] == "" {
		return "", false
	}
	return n.name[number], true
}

func (n *names) count() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.name) - 1
}

// errNotOpen is a programming error: a partition is opened before it is written.
var errNotOpen = errors.New("the partition was not opened")

// named gives numbers to those names that have none.
func (c *Claim) named(ctx context.Context, partition int, wanted []string) error {
	n, mine := c.known(partition)
	switch {
	case !mine && n == nil:
		return &LostError{Partition: partition}
	case n == nil:
		return errNotOpen
	}
	args := []any{c.lease(partition), 0}
	seen := map[string]bool{}
	for _, name := range wanted {
		if _, ok := n.of(name); !ok && !seen[name] {
			seen[name] = true
			args = append(args, name)
		}
	}
	if len(seen) == 0 {
		return nil
	}
	// One at a time: the script wants to know how many there are.
	n.mu.Lock()
	defer n.mu.Unlock()
	args[1] = len(n.name) - 1
	keys := []string{c.s.o.Keys.Lease(c.s.o.Target, partition), c.s.o.Keys.State(c.s.o.Target, partition)}
	given, err := nameScript.Run(ctx, c.s.rdb, keys, args...).Int64Slice()
	switch {
	case err != nil && strings.Contains(err.Error(), "walbridge lost"):
		return &LostError{Partition: partition}
	case err != nil && strings.Contains(err.Error(), "walbridge rolled back"):
		return fmt.Errorf("write names of partition %d: %w", partition, ErrRolledBack)
	case err != nil:
		return fmt.Errorf("write names of partition %d: %w", partition, err)
	case len(given) != len(args)-2:
		return fmt.Errorf("write names of partition %d: the server gave %d numbers for %d names", partition, len(given), len(args)-2)
	}
	for i, number := range given {
		name := args[i+2].(string)
		for int(number) >= len(n.name) {
			n.name = append(n.name, "")
		}
		n.number[name], n.name[number] = int(number), name
	}
	return nil
}

// nameScript gives numbers to names. It refuses where the server does not have all that
// it gave before, so that no number ever stands for two names.
// KEYS: lease, state. ARGV: lease, how many there are, then names.
var nameScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.error_reply('walbridge lost') end
redis.call('HDEL', KEYS[2], '\0none')
local out = {}
local count = tonumber(redis.call('HGET', KEYS[2], '\0names') or '0')
if count < tonumber(ARGV[2]) then return redis.error_reply('walbridge rolled back') end
for i = 3, #ARGV do
	local n = redis.call('HGET', KEYS[2], '\0name\0' .. ARGV[i])
	if not n then
		count = count + 1
		n = count
		redis.call('HSET', KEYS[2], '\0name\0' .. ARGV[i], n, '\0names', n)
	end
	out[i - 2] = tonumber(n)
end
return out
`)

// template splits the JSON object of a source key into what all keys of a table have in
// common, the parts before its values, and the values, both separated by NULs, which
// stand nowhere in JSON. An object that is not as plain as walbridge writes it has no
// template, and is a value as a whole.
func template(source string) (parts, values string) {
	rest, ok := strings.CutPrefix(source, "{")
	var p, v []string
	for ok {
		name := quoted(rest)
		start := strings.TrimPrefix(rest, ",")
		if len(p) > 0 {
			name = 1 + quoted(start)
		}
		if name < 3 || name >= len(rest) || rest[name] != ':' {
			return "", source
		}
		value := plain(rest[name+1:])
		if value == 0 {
			return "", source
		}
		p, v = append(p, rest[:name+1]), append(v, rest[name+1:name+1+value])
		rest = rest[name+1+value:]
		if rest == "}" {
			return strings.Join(p, "\x00"), strings.Join(v, "\x00")
		}
		ok = strings.HasPrefix(rest, ",")
	}
	return "", source
}

// assemble is what template took apart.
func assemble(parts, values string) (source string, ok bool) {
	if parts == "" {
		return values, true
	}
	p, v := strings.Split(parts, "\x00"), strings.Split(values, "\x00")
	if len(p) != len(v) {
		return "", false
	}
	b := []byte{'{'}
	for i := range p {
		b = append(append(b, p[i]...), v[i]...)
	}
	return string(append(b, '}')), true
}

// quoted is the length of the string in quotes that s begins with, 0 if there is none.
func quoted(s string) int {
	if !strings.HasPrefix(s, `"`) {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		case 0:
			return 0
		}
	}
	return 0
}

// plain is the length of the string, number or word that s begins with.
func plain(s string) int {
	if n := quoted(s); n > 0 {
		return n
	}
	n := strings.IndexFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("+-.", r)
	})
	return max(n, 0)
}
