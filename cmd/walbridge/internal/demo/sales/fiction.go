package sales

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// fiction makes up plausible values; the same seed makes up the same ones.
type fiction struct{ *rand.Rand }

func newFiction(seed uint64) fiction { return fiction{rand.New(rand.NewPCG(seed, 0x5a1e5))} }

var (
	firstNames = []string{"Anna", "Ben", "Chiara", "David", "Élodie", "Farid", "Grace", "Hiroshi", "Ines", "Jörg", "Kamala", "Liam", "Mei", "Noor", "Oluwaseun", "Paula", "Quentin", "Rosa", "Søren", "Tomás", "Uma", "Victor", "Wanjiru", "Yusuf", "Zofia"}
	lastNames  = []string{"Abara", "Becker", "Costa", "D'Angelo", "Eriksen", "Fournier", "Gupta", "Haddad", "Ivanova", "Jensen", "Kowalski", "López", "Müller", "Nakamura", "O'Brien", "Petrov", "Quispe", "Rossi", "Schmidt", "Tanaka", "Ueda", "Varga", "Williams", "Yılmaz", "Zhang"}
	firmStarts = []string{"Alpine", "Blue", "Cedar", "Delta", "Ever", "Fjord", "Granite", "Harbour", "Iron", "Juniper", "Kestrel", "Lumen", "Meridian", "North", "Orbit", "Pioneer", "Quarry", "River", "Summit", "Tidal", "Umbra", "Vector", "Willow", "Zenith"}
	firmMiddle = []string{"bridge", "craft", "data", "field", "gate", "light", "line", "mark", "port", "stone", "wave", "works"}
	firmEnds   = []string{"GmbH", "Inc.", "Ltd", "S.A.", "& Sons", "Group", "Labs", `"Partners"`, "株式会社", "AG"}
	industries = []string{"software", "manufacturing", "health", "retail", "logistics", "finance", "energy", "education"}
	regions    = []string{"EMEA", "AMER", "APAC"}
	sources    = []string{"web", "fair", "referral", "partner", "cold call", "advert"}
	titles     = []string{"CEO", "CFO", "CTO", "Head of Sales", "Buyer", "IT Manager", "Engineer"}
	tagWords   = []string{"key", "renewal", "at-risk", "new logo", "upsell", "eu", "q4", "a,b", `say "hi"`}
	products   = []string{"core", "analytics", "archive", "mobile", "support 24/7"}
	nextSteps  = []string{"call back", "send offer", "demo on site", "wait for legal", "talk to CFO\nand CTO", `ask about "phase 2"`}
	subjects   = []string{"intro", "follow-up", "demo", "pricing", "contract", "check-in"}
)

func pick[T any](f fiction, list []T) T { return list[f.IntN(len(list))] }

// chance is true with probability p.
func (f fiction) chance(p float64) bool { return f.Float64() < p }

func (f fiction) company() string {
	return pick(f, firmStarts) + pick(f, firmMiddle) + " " + pick(f, firmEnds)
}

// email is often written with capitals, as people do.
func (f fiction) email(domain string) string {
	name := fmt.Sprintf("p%06d@%s.example", f.IntN(1_000_000), domain)
	if f.chance(0.4) {
		return strings.ToUpper(name[:1]) + name[1:]
	}
	return name
}

func (f fiction) phone() *string {
	if f.chance(0.2) {
		return nil
	}
	s := fmt.Sprintf("+%d %d %07d", 1+f.IntN(98), 100+f.IntN(900), f.IntN(10_000_000))
	return &s
}

// cents is an amount of money between two bounds in whole units, uneven to the
// cent more often than not. Money never is a float, not even here.
func (f fiction) cents(low, high int64) int64 {
	c := (low + f.Int64N(high-low)) * 100
	if f.chance(0.7) {
		c += f.Int64N(100)
	}
	return c
}

// money writes cents as numeric text.
func money(cents int64) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

func (f fiction) tags() []string {
	tags := make([]string, f.IntN(4))
	for i := range tags {
		tags[i] = pick(f, tagWords)
	}
	return tags
}

// custom is a document of custom fields, or nil.
func (f fiction) custom() (*string, error) {
	if f.chance(0.25) {
		return nil, nil
	}
	doc := map[string]any{
		"seats":    1 + f.IntN(500),
		"discount": json.Number(fmt.Sprintf("%d.%d0", f.IntN(40), f.IntN(10))),
		"products": []string{pick(f, products), pick(f, products)},
		"legal":    map[string]any{"signed": f.chance(0.5), "contact": nil},
	}
	if f.chance(0.5) {
		doc["competitor"] = f.company()
	}
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encode custom fields: %w", err)
	}
	s := string(b)
	return &s, nil
}

// notes are a few thousand characters that do not compress well, or now and
// then nothing or a line.
func (f fiction) notes() *string {
	switch {
	case f.chance(0.1):
		return nil
	case f.chance(0.1):
		s := "short: " + pick(f, nextSteps)
		return &s
	}
	const letters = "abcdefghijklmnopqrstuvwxyzäöüé0123456789"
	alphabet := []rune(letters)
	var b strings.Builder
	for size := 3_000 + f.IntN(3_000); b.Len() < size; {
		for range 3 + f.IntN(9) {
			b.WriteRune(pick(f, alphabet))
		}
		switch f.IntN(12) {
		case 0:
			b.WriteString(".\n")
		case 1:
			b.WriteString(", \"")
		default:
			b.WriteByte(' ')
		}
	}
	s := b.String()
	return &s
}

func (f fiction) uuid() pgtype.UUID {
	var u pgtype.UUID
	for i := range u.Bytes {
		u.Bytes[i] = byte(f.UintN(256))
	}
	u.Bytes[6] = u.Bytes[6]&0x0f | 0x40
	u.Bytes[8] = u.Bytes[8]&0x3f | 0x80
	u.Valid = true
	return u
}

// firstDay is where the demo's calendar starts; it is fixed so that a seed
// gives the same rows on any day.
var firstDay = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func (f fiction) date(withinDays int) time.Time { return firstDay.AddDate(0, 0, f.IntN(withinDays)) }
