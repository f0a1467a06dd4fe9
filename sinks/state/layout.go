package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/walbridge/walbridge/cdc/redislog"
	"github.com/walbridge/walbridge/sinks"
)

// The state of keys lies in many small hashes, so that Redis keeps each in one piece: a
// record then takes little more than its bytes. The hash of the partition itself holds
// its marks only.

// layout is what the marks say of how the state lies.
var layout = "buckets " + strconv.Itoa(redislog.StateBuckets)

// layoutField holds the layout.
const layoutField = redislog.StateLayout

// longField is from where on Redis makes a table of a hash, which takes twice the room.
const longField = 64

// spot is where a key lies: in which bucket, and as which field of it.
type spot struct {
	bucket int
	field  string
}

// spotOf finds the place of a key whose values stand behind a number.
func spotOf(number int, values string) spot {
	field := strconv.FormatInt(int64(number), 36) + ":" + values
	hash := uint64(14695981039346656037) // FNV-1a
	for i := range len(field) {
		hash = (hash ^ uint64(field[i])) * 1099511628211
	}
	const half = redislog.StateBuckets / 2
	bucket := int((hash ^ hash>>32) % half)
	if len(field) > longField {
		bucket += half
	}
	return spot{bucket, field}
}

// shape is a key taken apart.
type shape struct {
	name   string // of the mapping and what its keys have in common
	values string
	// single is the value of a key of one column, if it has a template.
	single string
}

func (k Key) shape() shape {
	parts, values := template(k.Source)
	s := shape{name: kindMapping + k.Mapping + "\x00" + parts, values: values}
	if parts != "" && !strings.Contains(values, "\x00") {
		s.single = values
	}
	return s
}

// field is the key as dead letters name it.
func (k Key) field() string { return k.Mapping + "\x00" + k.Source }

// keyAt reads the field of a bucket.
func (n *names) keyAt(field string) (Key, shape, error) {
	digits, values, ok := strings.Cut(field, ":")
	number, err := strconv.ParseInt(digits, 36, 32)
	if !ok || err != nil {
		return Key{}, shape{}, errors.New("a field of the state does not begin with a number")
	}
	name, ok := n.at(int(number))
	mapping, parts, nul := strings.Cut(strings.TrimPrefix(name, kindMapping), "\x00")
	if !ok || !nul || !strings.HasPrefix(name, kindMapping) {
		return Key{}, shape{}, fmt.Errorf("a field of the state begins with %d, which is no mapping's number", number)
	}
	k := Key{Mapping: mapping}
	if k.Source, ok = assemble(parts, values); !ok {
		return Key{}, shape{}, fmt.Errorf("a field of the state has not as many values as the keys of mapping %s", mapping)
	}
	return k, k.shape(), nil
}

// text is what is stored of a key. The target key is the number of its field with a sign:
// an equals sign where its value is that of the source key, an apostrophe where it is the
// same as a string, a colon before any other value. Its name must have a number.
func (n *names) text(k Known, of shape) string {
	b := k.append(make([]byte, 0, 64))
	if k.Key.Name == "" {
		return string(b)
	}
	number, _ := n.of(kindField + k.Key.Name)
	b = strconv.AppendInt(append(b, ' '), int64(number), 36)
	switch value := string(k.Key.Value); {
	case of.single != "" && value == of.single:
		b = append(b, '=')
	case of.single != "" && value == `"`+of.single+`"`:
		b = append(b, '\'')
	default:
		b = append(append(b, ':'), value...)
	}
	return string(b)
}

// known reads what text gave. Its errors do not quote it.
func (n *names) known(text string, of shape) (Known, error) {
	k, key, err := parse(text)
	if err != nil || key == "" {
		return k, err
	}
	i := strings.IndexAny(key, "=':")
	if i < 0 {
		return k, fmt.Errorf("parse state at %s: the target key has no value", k.Seen)
	}
	number, err := strconv.ParseInt(key[:i], 36, 32)
	name, ok := n.at(int(number))
	if err != nil || !ok || !strings.HasPrefix(name, kindField) {
		return k, fmt.Errorf("parse state at %s: the target key begins with no number of a field", k.Seen)
	}
	k.Key.Name = name[len(kindField):]
	value := of.single
	switch key[i] {
	case '\'':
		value = `"` + value + `"`
	case ':':
		value = key[i+1:]
	}
	if key[i] != ':' && (of.single == "" || i+1 < len(key)) || !json.Valid([]byte(value)) {
		return k, fmt.Errorf("parse state at %s: the value of the target key is not one", k.Seen)
	}
	k.Key.Value = json.RawMessage(value)
	return k, nil
}

// namesOf gives the names that a write needs.
func namesOf(all []string, of shape, key sinks.Field) []string {
	if all = append(all, of.name); key.Name != "" {
		all = append(all, kindField+key.Name)
	}
	return all
}
