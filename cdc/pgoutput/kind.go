package pgoutput

// Kind says how the text form of a type becomes JSON.
type Kind uint8

// The kinds. Everything that PostgreSQL's own to_jsonb gives as a string from
// the type's text form is Text.
const (
	Text        Kind = iota
	Number           // integers: the text is the JSON
	Decimal          // numeric and floats: NaN and the infinities are strings
	Bool             // t and f
	JSON             // json and jsonb: the text is the JSON
	Timestamp        // ISO 8601 with a T
	Timestamptz      // ISO 8601 with a T and the offset's minutes
)

// Type is the kind of a column: of its value, or of the elements of its array.
type Type struct {
	Kind  Kind
	Array bool
	// Delim stands between the elements of an array; zero is a comma.
	Delim byte
}

// builtin lists types of the server's own catalog by OID: pg_type.dat of
// PostgreSQL, the same in all versions.
var builtin = map[uint32]Type{
	16: {Kind: Bool}, 1000: {Kind: Bool, Array: true},
	20: {Kind: Number}, 1016: {Kind: Number, Array: true},
	21: {Kind: Number}, 1005: {Kind: Number, Array: true},
	23: {Kind: Number}, 1007: {Kind: Number, Array: true},
	700: {Kind: Decimal}, 1021: {Kind: Decimal, Array: true},
	701: {Kind: Decimal}, 1022: {Kind: Decimal, Array: true},
	1700: {Kind: Decimal}, 1231: {Kind: Decimal, Array: true},
	114: {Kind: JSON}, 199: {Kind: JSON, Array: true},
	3802: {Kind: JSON}, 3807: {Kind: JSON, Array: true},
	1114: {Kind: Timestamp}, 1115: {Kind: Timestamp, Array: true},
	1184: {Kind: Timestamptz}, 1185: {Kind: Timestamptz, Array: true},
	1001: {Array: true}, // bytea[]
	1009: {Array: true}, // text[]
	1014: {Array: true}, // character[]
	1015: {Array: true}, // varchar[]
	1182: {Array: true}, // date[]
	2951: {Array: true}, // uuid[]
	17:   {},            // bytea
	25:   {},            // text
	1042: {},            // character
	1043: {},            // varchar
	1082: {},            // date
	1083: {},            // time
	1186: {},            // interval
	2950: {},            // uuid
}

// Builtin gives the type of an OID of the server's own catalog that is often
// used; of others ok is false, and the catalog is to be asked.
func Builtin(oid uint32) (t Type, ok bool) {
	t, ok = builtin[oid]
	return t, ok
}
