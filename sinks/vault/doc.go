// Package vault keeps, in Redis, the refresh tokens that came in place of configured ones
// (transport.Vault): each under a name that its login has, and sealed, so that nothing of it can
// be read here (I14). The turn to refresh is a key of its own beside it, which ends by itself.
//
// They belong to the login, not to a target: two targets that log in with one refresh token
// share what came in its place, and a target that is forgotten and made anew goes on with it.
// What was not used for a year goes.
package vault
