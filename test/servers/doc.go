// Package servers starts and stops throw-away PostgreSQL and Redis servers: for
// the tests, for the benchmarks and for "walbridge demo". A server lives in a
// directory of its own, listens on 127.0.0.1 at a free port, and can be
// stopped, killed and started again on the same data and the same port.
//
// What holds:
//
//   - Start returns only when our own server answers. Another server that took
//     the port in the meantime is told apart by its data directory or its pid.
//   - A server does not outlive the process that started it (on Linux, by the
//     parent-death signal), and Close leaves nothing behind on the disk.
//   - Nobody else's server is touched: signals go only to processes that this
//     package started.
//   - As root, PostgreSQL runs as another user, because it refuses root.
//
// It does not import "testing", so a program may use it; the package servertest
// below it ties the servers to the life of a test. It knows nothing of
// walbridge.
package servers
