// Package notes keeps, in Redis, what targets note for themselves (sinks.Notes): the ids that
// their records have, the jobs that are under way. Each space is one hash; another names the
// spaces of a target, so that all of it can be forgotten. Package redislog names the keys, and
// removes them with the rest of a target.
package notes
