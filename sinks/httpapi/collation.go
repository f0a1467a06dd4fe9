package httpapi

import "github.com/walbridge/walbridge/sinks"

// Folds tells whether key values that differ in case only are the same to the target.
func (c *Client) Folds() bool { return c.folds }

// FoldKey gives what key values have in common that are the same to the target, of
// whatever object.
func (c *Client) FoldKey(_ string, key sinks.Field) string {
	if c.folds {
		return sinks.InsensitiveKey(key.Value)
	}
	return sinks.ExactKey(key.Value)
}
