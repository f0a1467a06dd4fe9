package state

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

func TestKnownText(t *testing.T) {
	if s := (Known{Seen: at(7, 4), Live: true, Partial: true, Key: sinks.Field{Name: "id", Value: json.RawMessage("5")}}).String(); s != `7-4LA {"id":5}` {
		t.Errorf("text is %s", s)
	}
	if s := (Known{Seen: at(7, 4), Live: true, Sent: "x=d,ap", Key: sinks.Field{Name: "id", Value: json.RawMessage("5")}}).String(); s != `7-4L=x=d,ap {"id":5}` {
		t.Errorf("text is %s", s)
	}
	old := Known{Seen: at(7, 4), Doubt: true, Key: sinks.Field{Name: "id", Value: json.RawMessage("5")}, Old: []sinks.Field{{Name: "id", Value: json.RawMessage("4")}}}
	if s := old.String(); s != `7-4D|W3siaWQiOjR9XQ {"id":5}` {
		t.Errorf("text is %s", s)
	}
	rapid.Check(t, func(t *rapid.T) {
		k := Known{
			Sent: rapid.StringMatching(`[!-~]*`).Draw(t, "sent"),
			Seen: at(rapid.Uint64().Draw(t, "lsn"), rapid.Uint64().Draw(t, "ord")),
			Live: rapid.Bool().Draw(t, "l"), Doubt: rapid.Bool().Draw(t, "d"), Partial: rapid.Bool().Draw(t, "a"), Lacking: rapid.Bool().Draw(t, "p"),
		}
		if name := rapid.String().Draw(t, "name"); name != "" {
			v, err := json.Marshal(rapid.String().Draw(t, "value"))
			if err != nil {
				t.Fatal(err)
			}
			k.Key = sinks.Field{Name: name, Value: v}
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "old") {
			k.Old = append(k.Old, sinks.Field{Name: k.Key.Name, Value: json.RawMessage(fmt.Sprintf("%d.0", i))})
		}
		got, err := ParseKnown(k.String())
		if err != nil || !reflect.DeepEqual(got.Prior(), k.Prior()) {
			t.Fatalf("%s is told as %+v, %v", k, got.Prior(), err)
		}
		if !k.Live || k.Doubt || k.Lacking {
			if k.Sent = ""; k.Prior().Sent != "" {
				t.Fatalf("%s is trusted", k)
			}
		}
		if !reflect.DeepEqual(got, k) {
			t.Fatalf("%s reads as %+v", k, got)
		}
	})
	// What a mapping gives against the rules costs that field, not the key.
	for _, sent := range []string{"a b", "a\n", "\u00e9", "\xff", "a\x7f"} {
		k := Known{Seen: at(7, 4), Live: true, Sent: sent, Key: sinks.Field{Name: "id", Value: json.RawMessage("5")}}
		if k.Prior().Sent != "" || k.String() != `7-4L {"id":5}` {
			t.Errorf("%q is kept as %s", sent, k)
		}
	}
	for _, bad := range []string{"", "-", "-4", "7-", "L", "7-4 ", "7-4Q", "7-4LQ", "7 4", `7-4L {"a":1,"b":2}`, `7-4L {`, "7-4L|!", "7-4L|e30", "7-4L|W3t9XQ", "7-4L 1=", "\x00", "7-4 L", "7-4 L {}"} {
		if _, err := ParseKnown(bad); err == nil {
			t.Errorf("%q was read", bad)
		} else if strings.Contains(err.Error(), `"a"`) {
			t.Errorf("%q is quoted: %v", bad, err)
		}
	}
}

// drawKey gives the source keys that there are, and some that there are not.
func drawKey(t *rapid.T) string {
	value := func() string {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return strconv.Itoa(rapid.Int().Draw(t, "number"))
		case 1:
			return rapid.SampledFrom([]string{"true", "null", "1.50", "-0", "1e+5", `"a\"b"`, `"\\"`, `"{\"x\":1}"`, `{"x":[1,"2"]}`, `"a,b"`, "[]"}).Draw(t, "word")
		}
		text, err := json.Marshal(rapid.String().Draw(t, "text"))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var parts []string
	for i := range rapid.IntRange(0, 3).Draw(t, "columns") {
		name, err := json.Marshal(rapid.SampledFrom([]string{"id", "", "a b", `q"`, "1", "ü", ",", ":"}).Draw(t, "name") + strings.Repeat("x", i))
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, string(name)+":"+value())
	}
	if rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
		return rapid.String().Draw(t, "source")
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// What is stored of a key and of what is known of it reads as it was, and two keys never
// have the same place.
func TestStoredText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, err := readNames(map[string]string{})
		if err != nil {
			t.Fatal(err)
		}
		at := map[spot]Key{}
		for range rapid.IntRange(1, 4).Draw(t, "keys") {
			key := Key{Mapping: rapid.SampledFrom([]string{"deals", "m", "f"}).Draw(t, "mapping"), Source: drawKey(t)}
			k := Known{Seen: at64(t), Live: rapid.Bool().Draw(t, "l"), Lacking: rapid.Bool().Draw(t, "p")}
			of := key.shape()
			if rapid.Bool().Draw(t, "has a target key") {
				k.Key = sinks.Field{Name: rapid.SampledFrom([]string{"Ext", "id", "x y"}).Draw(t, "field"), Value: json.RawMessage("5")}
				if of.single != "" && json.Valid([]byte(of.single)) {
					k.Key.Value = json.RawMessage(rapid.SampledFrom([]string{"5", `"5"`, of.single}).Draw(t, "value"))
					if as := `"` + of.single + `"`; rapid.Bool().Draw(t, "as a string") && json.Valid([]byte(as)) {
						k.Key.Value = json.RawMessage(as)
					}
				}
			}
			for _, name := range namesOf(nil, of, k.Key) {
				if _, ok := n.of(name); !ok {
					n.number[name], n.name = len(n.name), append(n.name, name)
				}
			}
			number, _ := n.of(of.name)
			place := spotOf(number, of.values)
			if other, ok := at[place]; ok && other != key {
				t.Fatalf("%q and %q have the same place", other, key)
			}
			at[place] = key
			got, gotOf, err := n.keyAt(place.field)
			if err != nil || got != key || gotOf != of {
				t.Fatalf("%q reads as %q, %v", key, got, err)
			}
			text := n.text(k, of)
			if back, err := n.known(text, of); err != nil || !reflect.DeepEqual(back, k) {
				t.Fatalf("%+v is stored as %q and reads as %+v, %v", k, text, back, err)
			}
		}
	})
}

func at64(t *rapid.T) cdc.Position {
	return at(rapid.Uint64().Draw(t, "lsn"), rapid.Uint64().Draw(t, "ord"))
}

func TestShortForms(t *testing.T) {
	n, err := readNames(map[string]string{namesField: "2", nameField + "mdeals\x00\"id\":": "1", nameField + "fExt": "2", "\x00commit": "x"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ source, value, field, text string }{
		{`{"id":7}`, `7`, "1:7", "1s-4L 2="},
		{`{"id":7}`, `"7"`, "1:7", "1s-4L 2'"},
		{`{"id":"a b"}`, `"a b"`, `1:"a b"`, "1s-4L 2="},
		{`{"id":"a b"}`, `"c"`, `1:"a b"`, `1s-4L 2:"c"`},
	} {
		key := Key{"deals", tc.source}
		of := key.shape()
		number, ok := n.of(of.name)
		if got := spotOf(number, of.values); !ok || got.field != tc.field || got.bucket >= 4096 {
			t.Errorf("%s is at %+v", tc.source, got)
		}
		k := Known{Seen: at(64, 4), Live: true, Key: sinks.Field{Name: "Ext", Value: json.RawMessage(tc.value)}}
		if got := n.text(k, of); got != tc.text {
			t.Errorf("%s is stored as %s", k, got)
		}
	}
	long := Key{"deals", `{"id":"` + strings.Repeat("x", 64) + `"}`}.shape()
	if got := spotOf(1, long.values); got.bucket < 4096 {
		t.Errorf("a long field is at %+v", got)
	}
	for _, bad := range []string{"", "1", "x:7", ":7", "2:7", "3:7", "1:7\x008"} {
		if _, _, err := n.keyAt(bad); err == nil {
			t.Errorf("the field %q was read", bad)
		}
	}
	for _, bad := range []string{"1s 2", "1s 1=", "1s 3=", "1s =", "1s 2=x", "1s 2:", "1s 2:x", "1s {}"} {
		if _, err := n.known(bad, Key{"deals", `{"id":7}`}.shape()); err == nil {
			t.Errorf("the text %q was read", bad)
		}
	}
	for _, bad := range []map[string]string{{namesField: "x"}, {namesField: "9999"}, {namesField: "0", nameField + "mx": "1"},
		{namesField: "2", nameField + "mx": "1", nameField + "my": "1"}, {namesField: "1", nameField + "mx": "y"}} {
		if _, err := readNames(bad); err == nil {
			t.Errorf("the names %v were read", bad)
		}
	}
}
