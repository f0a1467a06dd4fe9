// Package sign proves to a receiver that a request comes from us and was not changed: by a
// signature over its body and the time, made with a secret that both know (HMAC), or with a key
// of which the receiver knows the public half (ed25519).
//
// Webhooks signs as Standard Webhooks says (https://www.standardwebhooks.com, version 1.0.0);
// HMAC signs in whatever form a receiver wants. Both take several keys, so that one can be
// replaced without a moment in which the receiver knows none of them: it is enough that one
// signature is right.
//
// The package is pure: the time is passed in.
package sign
