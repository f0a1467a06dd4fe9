package sinks

import "time"

// Allowance is how much a target takes over some time, as it said.
type Allowance struct {
	Known bool
	// Limit is of the whole time, zero if that was not said; Left is what remains of it.
	Limit, Left int64
	// Reset is how long it takes until all of it is there again, zero if that was not
	// said, as for a limit over the last 24 hours.
	Reset time.Duration
}

// Quota is what a target says of how many requests it takes, along with its answers.
type Quota struct {
	Daily Allowance
	// Window is over a short time, such as ten seconds.
	Window Allowance
}

// QuotaTeller is the ability of a target to tell of quotas.
type QuotaTeller interface {
	// TellQuota sets who is told, after each answer that says something of a quota; f is
	// quick and may be called from several goroutines. It is called before the first
	// Deliver.
	TellQuota(f func(Quota))
}
