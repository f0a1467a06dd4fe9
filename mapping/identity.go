package mapping

import "github.com/walbridge/walbridge/cdc"

// IdentityHint gives the statement that mends a table whose rows cannot be told apart.
func IdentityHint(t cdc.Table, columns []Column) string { return identityHint(t, columns) }
