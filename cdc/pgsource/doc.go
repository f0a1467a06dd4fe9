// Package pgsource captures the changes of a PostgreSQL database: it makes the
// publication and the slot, owns the replication connection, hands what
// pgoutput decodes to the log, and confirms to the server what the log holds
// durably, never more (I1).
//
// One goroutine owns the replication socket: it receives, decodes, answers
// keepalives and sends status updates. Statements (the catalog, the heartbeat,
// completion reads) go over ordinary connections. The source is only read, but
// for the publication, the slot and the heartbeat's logical messages (I15).
package pgsource
