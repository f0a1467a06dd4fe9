package cdc

// SetupError is something that a person must change before walbridge can work:
// a setting, a privilege, an address. Trying again does not help.
type SetupError struct {
	// What says what is wrong, with the value that was found.
	What string
	// Hint says what to do, as a statement or a setting where there is one.
	Hint string
	// Err is the cause, if something else said it.
	Err error
}

func (e *SetupError) Error() string {
	s := e.What
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Hint == "" {
		return s
	}
	return s + "\n  hint: " + e.Hint
}

// Unwrap gives the cause.
func (e *SetupError) Unwrap() error { return e.Err }
