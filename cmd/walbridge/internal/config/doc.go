// Package config reads walbridge.yaml, the configuration of the process: where
// PostgreSQL, Redis and the targets are, and which mapping files to use.
//
// Reading is strict: a key it does not know, a value of a wrong type or out of
// range, a reference that leads nowhere are errors with file, line, column, path
// and what to do, and all of a file's mistakes are told at once. Defaults hold
// for what is not written, empty sections included. Validate checks a Config
// made in code by the same rules, with paths instead of places.
//
// Values may hold ${NAME} and ${NAME:-default} for environment variables ($$ is
// a dollar), and an url or header may be file:PATH for the text of a file. What
// comes from there, and every url and header, is a Secret or is never shown: it
// appears in no error, log or excerpt (I14).
//
// It decodes with mapping/yamldoc and is used by the commands and by wire. It
// opens no connection and reads no mapping file.
package config
