package queue

// Replay tells of a change that it was dealt with before and is to be looked at again.
type Replay uint8

// What a replay asks for.
const (
	// Live is no replay.
	Live Replay = iota
	// Again maps the row once more, and sends it if it comes to something else.
	Again
	// Forced sends it whatever it comes to.
	Forced
)
