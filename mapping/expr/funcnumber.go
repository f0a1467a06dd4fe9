package expr

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// numberFunctions are those of numbers and money.
func numberFunctions() []*function {
	const g = "numbers"
	return []*function{
		{Function: Function{"round", g, "round(x), round(x, 2), round(x, 2, 'half_even')", "to so many digits behind the point, with them: half_up (away from zero, as PostgreSQL's round), half_even, half_down, up, down, ceiling, floor", "round(2.345, 2)", "2.35"}, params: []Type{Decimal, Int, Text}, least: 1, make: round},
		{Function: Function{"floor", g, "floor(x)", "the whole number at or below", "floor(-2.5)", "-3"}, params: []Type{Decimal}, least: 1, make: rounded(apd.RoundFloor)},
		{Function: Function{"ceil", g, "ceil(x)", "the whole number at or above", "ceil(2.1)", "3"}, params: []Type{Decimal}, least: 1, make: rounded(apd.RoundCeiling)},
		{Function: Function{"abs", g, "abs(x)", "without its sign", "abs(-2.50)", "2.50"}, params: []Type{Decimal}, least: 1, make: abs},
		{Function: Function{"least", g, "least(x, y, …)", "the lowest that is not null; of numbers, texts or dates", "least(amount, 1000)", "1000"}, params: []Type{anyScalar}, least: 1, many: true, make: extreme(-1)},
		{Function: Function{"greatest", g, "greatest(x, y, …)", "the highest that is not null", "greatest(quantity, nil, 2)", "3"}, params: []Type{anyScalar}, least: 1, many: true, make: extreme(1)},
		{Function: Function{"money", g, "money(x, 'EUR')", "rounded, half up, to the digits that the currency has (ISO 4217); the currency may be a column", "money(1234.5, 'JPY')", "1235"}, params: []Type{Decimal, Text}, least: 2, changing: true, make: money},
		{Function: Function{"minor_units", g, "minor_units(x, 'EUR')", "as a whole number of the currency's smallest unit, such as cents", "minor_units(12.34, 'EUR')", "1234"}, params: []Type{Decimal, Text}, least: 2, changing: true, make: minorUnits},
		{Function: Function{"major_units", g, "major_units(n, 'EUR')", "the amount of so many of the smallest unit", "major_units(1234, 'KWD')", "1.234"}, params: []Type{Int, Text}, least: 2, changing: true, make: majorUnits},
	}
}

// maxScale is the greatest number of digits that round can be asked for.
const maxScale = 30

// roundings are the modes of round.
var roundings = map[string]apd.Rounder{
	"half_up": apd.RoundHalfUp, "half_even": apd.RoundHalfEven, "half_down": apd.RoundHalfDown, "up": apd.RoundUp, "down": apd.RoundDown,
	"ceiling": apd.RoundCeiling, "floor": apd.RoundFloor,
}

var roundingNames = []string{"half_up", "half_even", "half_down", "up", "down", "ceiling", "floor"}

// quantizer rounds by a mode. Its precision only has to be above every number that is
// let in.
func quantizer(mode apd.Rounder) *apd.Context {
	return &apd.Context{Precision: 6 * maxDigits, MaxExponent: apd.MaxExponent, MinExponent: apd.MinExponent, Traps: apd.DefaultTraps, Rounding: mode}
}

var halfUp = quantizer(apd.RoundHalfUp)

func quantize(ctx *apd.Context, d *apd.Decimal, scale int) (*apd.Decimal, failed) {
	if !isFinite(d) {
		return d, ""
	}
	out := new(apd.Decimal)
	if _, err := ctx.Quantize(out, d, int32(-scale)); err != nil {
		return nil, "the number cannot be rounded"
	}
	return out, ""
}

func round(c *compiler, k *call) (typed, error) {
	scale, mode := 0, "half_up"
	var err error
	if len(k.args) > 1 {
		if scale, err = k.whole(c, 1, 0, maxScale); err != nil {
			return typed{}, err
		}
	}
	if mode, err = k.choice(c, 2, mode, roundingNames); err != nil {
		return typed{}, err
	}
	ctx := quantizer(roundings[mode])
	return k.one(Decimal, func(v value) (value, failed) {
		d, why := quantize(ctx, v.dec, scale)
		return decOf(d), why
	}), nil
}

func rounded(mode apd.Rounder) func(*compiler, *call) (typed, error) {
	ctx := quantizer(mode)
	return func(_ *compiler, k *call) (typed, error) {
		return k.one(Decimal, func(v value) (value, failed) {
			d, why := quantize(ctx, v.dec, 0)
			return decOf(d), why
		}), nil
	}
}

func abs(_ *compiler, k *call) (typed, error) {
	return k.one(Decimal, func(v value) (value, failed) {
		if isNaN(v.dec) {
			return v, ""
		}
		return decOf(new(apd.Decimal).Abs(v.dec)), ""
	}), nil
}

// extreme makes least and greatest, which pass over nulls as in SQL.
func extreme(sign int) func(*compiler, *call) (typed, error) {
	return func(c *compiler, k *call) (typed, error) {
		t, err := c.common("the arguments", k.args...)
		if err != nil {
			return typed{}, err
		}
		for i := range k.args {
			k.args[i] = as(t, k.args[i])
		}
		order := orderOf(t)
		notNull := slices.ContainsFunc(k.args, func(x typed) bool { return x.notNull })
		return typed{typ: t, at: k.at, notNull: notNull, eval: func(row *Row) (value, error) {
			var best value
			for _, x := range k.args {
				v, err := x.eval(row)
				if err != nil {
					return value{}, err
				}
				if v.set && (!best.set || order(v, best)*sign > 0) {
					best = v
				}
			}
			return best, nil
		}}, nil
	}
}

// currencyKnown finds a wrong code that is written out.
func (k *call) currencyKnown(c *compiler) error {
	code := k.args[1].textLiteral
	if code == nil {
		return nil
	}
	if _, why := digitsOf(*code); why != "" {
		return c.fail(k.args[1].at, *code, "write a code of ISO 4217, such as 'EUR'", "%s:", why)
	}
	return nil
}

func money(c *compiler, k *call) (typed, error) {
	return k.two(Decimal, func(x, code value) (value, failed) {
		scale, why := digitsOf(code.text)
		if why != "" {
			return value{}, why
		}
		d, why := quantize(halfUp, x.dec, scale)
		return decOf(d), why
	}), k.currencyKnown(c)
}

func minorUnits(c *compiler, k *call) (typed, error) {
	return k.two(Int, func(x, code value) (value, failed) {
		scale, why := digitsOf(code.text)
		if why != "" {
			return value{}, why
		}
		d, why := quantize(halfUp, x.dec, scale)
		if why != "" || !isFinite(d) {
			return value{}, "the amount is not a number"
		}
		n := new(apd.Decimal).Set(d)
		n.Exponent = 0
		i, err := n.Int64()
		if err != nil {
			return value{}, "the amount is beyond a whole number of 64 bits"
		}
		return intOf(i), ""
	}), k.currencyKnown(c)
}

func majorUnits(c *compiler, k *call) (typed, error) {
	return k.two(Decimal, func(x, code value) (value, failed) {
		scale, why := digitsOf(code.text)
		if why != "" {
			return value{}, why
		}
		return decOf(apd.New(x.int, int32(-scale))), ""
	}), k.currencyKnown(c)
}

// toInt makes a whole number of a text, a decimal, JSON or a boolean.
func toInt(c *compiler, k *call) (typed, error) {
	const bad = "not a whole number of 64 bits"
	fromDec := func(d *apd.Decimal) (value, failed) {
		i, err := d.Int64()
		if err != nil {
			return value{}, bad
		}
		return intOf(i), ""
	}
	switch k.args[0].typ {
	case Int, Nil:
		return k.one(Int, func(v value) (value, failed) { return v, "" }), nil
	case Decimal:
		return k.one(Int, func(v value) (value, failed) { return fromDec(v.dec) }), nil
	case Bool:
		return k.one(Int, func(v value) (value, failed) { return intOf(int64(bit(v.bool))), "" }), nil
	case Text, JSON:
		return k.one(Int, scalarText(k.args[0].typ, func(s string) (value, failed) {
			if i, err := strconv.ParseInt(s, 10, 64); err == nil {
				return intOf(i), ""
			}
			v, why := parseNumber(s)
			if why != "" {
				return value{}, bad
			}
			return fromDec(v.dec)
		})), nil
	}
	return typed{}, c.fail(k.args[0].at, k.f.Name, "", "the function cannot make a number of %s:", k.args[0].typ)
}

// toDecimal makes a decimal of a text, a whole number or JSON.
func toDecimal(c *compiler, k *call) (typed, error) {
	switch k.args[0].typ {
	case Int, Decimal, Nil:
		k.args[0] = as(Decimal, k.args[0])
		return k.one(Decimal, func(v value) (value, failed) { return v, "" }), nil
	case Text, JSON:
		return k.one(Decimal, scalarText(k.args[0].typ, parseNumber)), nil
	}
	return typed{}, c.fail(k.args[0].at, k.f.Name, "", "the function cannot make a number of %s:", k.args[0].typ)
}

func parseNumber(s string) (value, failed) {
	if len(s) > 3*maxDigits {
		return value{}, "not a number"
	}
	d := new(apd.Decimal)
	if _, _, err := d.SetString(s); err != nil || !isFinite(d) || !withinBounds(d) {
		return value{}, "not a number"
	}
	return decOf(d), ""
}

// scalarText lets a function of a text read JSON scalars, too. An empty text is null: so
// forms and custom fields have what is not filled in.
func scalarText(t Type, f func(string) (value, failed)) func(value) (value, failed) {
	return func(v value) (value, failed) {
		s := v.text
		if t == JSON {
			text, bad := decodeText(s)
			if bad != "" {
				return value{}, "the JSON is an object or a list"
			}
			s = text.text
		}
		if s = strings.TrimSpace(s); s == "" {
			return value{}, ""
		}
		return f(s)
	}
}

// toBool makes a boolean of JSON or a text.
func toBool(c *compiler, k *call) (typed, error) {
	switch k.args[0].typ {
	case Bool, Nil:
		return k.one(Bool, func(v value) (value, failed) { return v, "" }), nil
	case Text, JSON:
		return k.one(Bool, scalarText(k.args[0].typ, func(s string) (value, failed) {
			switch strings.ToLower(s) {
			case "true", "t", "yes", "y", "on", "1":
				return boolOf(true), ""
			case "false", "f", "no", "n", "off", "0":
				return boolOf(false), ""
			}
			return value{}, "not true or false"
		})), nil
	}
	return typed{}, c.fail(k.args[0].at, k.f.Name, "compare it, such as x != 0", "the function cannot make a boolean of %s:", k.args[0].typ)
}

// maxDays bounds what can be added to a date.
const maxDays = math.MaxInt32
