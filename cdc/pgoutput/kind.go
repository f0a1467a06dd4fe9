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
	Array            // {1,2}: an array of ArrayOf's elements
	Vector           // 1 2: int2vector and oidvector, an array too
	Composite        // (1,2): an object of CompositeOf's fields
	HStore           // "a"=>"1": an object of strings and nulls
)

// Type is how values of a type become JSON. One with parts is made by ArrayOf or
// CompositeOf; for all others the kind is enough. Types may share parts: nobody
// writes to them.
type Type struct {
	Kind Kind
	// delim stands between the elements of an array.
	delim  byte
	elem   *Type
	fields []field
}

// Field is a column of a composite type.
type Field struct {
	Name string
	Type *Type
}

type field struct {
	name []byte // as JSON with its colon
	typ  *Type
}

// ArrayOf gives the type of an array, of any number of dimensions. delim is what
// the server's catalog says of the element: a comma, but for boxes.
func ArrayOf(elem *Type, delim byte) Type {
	return Type{Kind: Array, delim: delim, elem: elem}
}

// CompositeOf gives the type of a row. Dropped columns are not among the fields:
// the server does not write them.
func CompositeOf(fields ...Field) Type {
	t := Type{Kind: Composite, fields: make([]field, len(fields))}
	for i, f := range fields {
		t.fields[i] = field{name: append(appendString(nil, []byte(f.Name)), ':'), typ: f.Type}
	}
	return t
}

// builtin lists types of the server's own catalog by OID: pg_type.dat of
// PostgreSQL, the same in all versions.
var builtin = map[uint32]Type{
	16: {Kind: Bool}, 1000: arrayOf(Bool),
	20: {Kind: Number}, 1016: arrayOf(Number),
	21: {Kind: Number}, 1005: arrayOf(Number),
	23: {Kind: Number}, 1007: arrayOf(Number),
	700: {Kind: Decimal}, 1021: arrayOf(Decimal),
	701: {Kind: Decimal}, 1022: arrayOf(Decimal),
	1700: {Kind: Decimal}, 1231: arrayOf(Decimal),
	114: {Kind: JSON}, 199: arrayOf(JSON),
	3802: {Kind: JSON}, 3807: arrayOf(JSON),
	1114: {Kind: Timestamp}, 1115: arrayOf(Timestamp),
	1184: {Kind: Timestamptz}, 1185: arrayOf(Timestamptz),
	22:   {Kind: Vector, elem: &Type{Kind: Number}}, // int2vector
	30:   {Kind: Vector, elem: &Type{}},             // oidvector: an oid is a string
	1001: arrayOf(Text),                             // bytea[]
	1009: arrayOf(Text),                             // text[]
	1014: arrayOf(Text),                             // character[]
	1015: arrayOf(Text),                             // varchar[]
	1182: arrayOf(Text),                             // date[]
	2951: arrayOf(Text),                             // uuid[]
	17:   {},                                        // bytea
	25:   {},                                        // text
	1042: {},                                        // character
	1043: {},                                        // varchar
	1082: {},                                        // date
	1083: {},                                        // time
	1186: {},                                        // interval
	2950: {},                                        // uuid
}

func arrayOf(k Kind) Type { return ArrayOf(&Type{Kind: k}, ',') }

// Builtin gives the type of an OID of the server's own catalog that is often
// used, or whose text form the catalog does not tell; of others ok is false, and
// the catalog is to be asked.
func Builtin(oid uint32) (t Type, ok bool) {
	t, ok = builtin[oid]
	return t, ok
}
