// Package demo is `walbridge demo`: the main job on embedded defaults. It starts
// a throw-away PostgreSQL and Redis (or uses those it is given), sandbox
// targets, a living sales database and the whole bridge, shows a live table, and
// ends with a reconciliation of the source against the targets.
//
// The bridge is the product's own, by package wire and a configuration file like
// any user's: nothing in it knows that it is a demo.
package demo
