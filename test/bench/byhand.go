package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/apd/v3"

	"github.com/walbridge/walbridge/cdc"
	"github.com/walbridge/walbridge/sinks"
)

// deal is what the fields of dealsMapping need of a row.
type deal struct {
	id, first, last, email, phone, mobile, stage, amount, quantity, rate, active, closeDate string
}

// read finds the columns in the row's JSON, as fast as that is done in the module.
func (d *deal) read(after string) error {
	return cdc.EachColumn(after, func(name string, v cdc.Value) bool {
		switch raw := v.JSON(); name {
		case "id":
			d.id = raw
		case "first_name":
			d.first = raw
		case "last_name":
			d.last = raw
		case "email":
			d.email = raw
		case "phone":
			d.phone = raw
		case "mobile":
			d.mobile = raw
		case "stage":
			d.stage = raw
		case "amount":
			d.amount = raw
		case "quantity":
			d.quantity = raw
		case "rate":
			d.rate = raw
		case "active":
			d.active = raw
		case "close_date":
			d.closeDate = raw
			return false
		}
		return true
	})
}

// plain gives the text of a JSON string.
func plain(raw string) (string, error) {
	if len(raw) >= 2 && strings.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	var s string
	err := json.Unmarshal([]byte(raw), &s)
	return s, err
}

var (
	exactly   = apd.BaseContext
	quotient  = apd.BaseContext.WithPrecision(34)
	hundred   = apd.New(100, 0)
	largeDeal = apd.New(100_000, 0)
	midDeal   = apd.New(10_000, 0)
	toCents   = &apd.Context{Precision: 6000, MaxExponent: apd.MaxExponent, MinExponent: apd.MinExponent, Traps: apd.DefaultTraps, Rounding: apd.RoundHalfUp}
)

// dealByHand is what somebody would write in Go for dealsMapping: no expression, no
// closure, exact decimals, nulls by hand.
func dealByHand(ch *cdc.Change) (sinks.Record, error) {
	var d deal
	if err := d.read(ch.After); err != nil {
		return sinks.Record{}, err
	}
	rec := sinks.Record{Mapping: "deals", Source: ch.Key, Object: "Opportunity", Op: sinks.Upsert, Position: ch.Position, Key: sinks.Field{Name: "External_Id__c", Value: json.RawMessage(d.id)}}
	rec.Fields = make([]sinks.Field, 0, 10)
	add := func(name, value string) {
		rec.Fields = append(rec.Fields, sinks.Field{Name: name, Value: json.RawMessage(value)})
	}
	if d.first == "null" || d.last == "null" {
		add("Contact", "null")
	} else {
		first, err := plain(d.first)
		if err != nil {
			return rec, err
		}
		last, err := plain(d.last)
		if err != nil {
			return rec, err
		}
		add("Contact", quoted(first+" "+last))
	}
	if d.email == "null" {
		add("Email", "null")
	} else {
		email, err := plain(d.email)
		if err != nil {
			return rec, err
		}
		add("Email", quoted(strings.ToLower(email)))
	}
	if err := d.money(add); err != nil {
		return rec, err
	}
	if err := d.rest(add); err != nil {
		return rec, err
	}
	f := rec.Fields // into the order of the mapping
	rec.Fields = []sinks.Field{f[0], f[1], f[2], f[3], f[5], f[4], f[6], f[7], f[8], f[9]}
	return rec, nil
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // a string always has a JSON form
		return `""`
	}
	return string(b)
}

func (d *deal) money(add func(name, value string)) error {
	if d.amount == "null" {
		add("Size", `"small"`)
		add("Total", "null")
		add("Commission", "null")
		return nil
	}
	var amount, quantity, rate, total, part, cents apd.Decimal
	if _, _, err := amount.SetString(d.amount); err != nil {
		return err
	}
	switch {
	case amount.Cmp(largeDeal) > 0:
		add("Size", `"large"`)
	case amount.Cmp(midDeal) > 0:
		add("Size", `"medium"`)
	default:
		add("Size", `"small"`)
	}
	n, err := strconv.ParseInt(d.quantity, 10, 64)
	if err != nil {
		return err
	}
	quantity.SetInt64(n)
	if _, err := exactly.Mul(&total, &amount, &quantity); err != nil {
		return err
	}
	add("Total", total.Text('f'))
	if _, _, err := rate.SetString(d.rate); err != nil {
		return err
	}
	if _, err := exactly.Mul(&part, &amount, &rate); err != nil {
		return err
	}
	if _, err := quotient.Quo(&part, &part, hundred); err != nil {
		return err
	}
	if _, err := toCents.Quantize(&cents, &part, -2); err != nil {
		return err
	}
	add("Commission", cents.Text('f'))
	return nil
}

func (d *deal) rest(add func(name, value string)) error {
	phone := d.phone
	if phone == "null" {
		phone = d.mobile
	}
	if phone == "null" {
		phone = `"none"`
	}
	add("Phone", phone)
	day, err := plain(d.closeDate)
	if err != nil {
		return err
	}
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return err
	}
	add("CloseDate", quoted(at.Format("02.01.2006")))
	add("Hot", strconv.FormatBool(d.active == "true" && (d.stage == `"won"` || d.stage == `"negotiation"`)))
	switch d.stage {
	case `"won"`:
		add("Stage", `"Closed Won"`)
	case `"lost"`:
		add("Stage", `"Closed Lost"`)
	case `"negotiation"`:
		add("Stage", `"Negotiation"`)
	default:
		add("Stage", `"Open"`)
	}
	add("Number", `"`+d.id+`"`)
	return nil
}

// tempDir makes a directory, and gives what removes it.
func tempDir() (string, func() error, error) {
	dir, err := os.MkdirTemp("", "walbridge-bench-")
	if err != nil {
		return "", nil, fmt.Errorf("make directory: %w", err)
	}
	return dir, func() error { return os.RemoveAll(dir) }, nil
}

func writeFile(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write mapping file: %w", err)
	}
	return nil
}
