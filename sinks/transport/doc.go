// Package transport is what all targets that speak HTTP share: a client that follows no
// redirect, connects only to addresses that are allowed, bounds what it reads, and says of
// every failure whether the request may have been carried out; secrets that show themselves
// nowhere; and tokens that are got by OAuth.
//
// A request is given as bytes and made anew for each try (I9). What an answer with a status
// outside of 2xx means in general is said here (StatusError); a target that knows better says
// so itself. Error texts hold hosts, statuses and what went wrong, never bodies, addresses
// with their query, nor headers (I14).
//
// It belongs to no target and knows none: targets import it, and never each other.
package transport
