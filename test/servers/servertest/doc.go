// Package servertest gives tests real PostgreSQL and Redis servers and takes
// them away again when the test ends.
//
// A test that stops, kills or reconfigures a server asks for one of its own,
// with Postgres or Redis. All others share one server of each kind in their
// process: SharedPostgres gives a test a database of its own in it, SharedRedis
// a name of its own for its keys. A package whose tests share servers runs them
// through Run in its TestMain.
//
// A missing server fails the test and says what to install; nothing is skipped.
// The environment variable WALBRIDGE_TEST_POSTGRES_BIN names the directory of
// the programs of another PostgreSQL version to test against; test/postgres
// gets one and prints that directory.
package servertest
