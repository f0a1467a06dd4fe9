package mapping

import "time"

// SLO says how soon after its commit a change is to be accepted by the target; zero
// if the file does not say.
func (m *Mapping) SLO() time.Duration { return m.slo }
