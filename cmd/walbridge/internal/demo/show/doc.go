// Package show draws the demo's live table: a Snapshot of figures as text of a
// given width (Render, pure) and a runner that draws it again and again (Run),
// in place on a terminal and as plain text elsewhere.
//
// It knows nothing of where the figures come from and holds no row values
// (I14); package demo fills the Snapshot.
package show
