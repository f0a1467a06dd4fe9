// Package formfile reads the forms of APIs (package sinks/httpapi/form) from YAML: from the
// presets, from a file of their own, and from the form section of a target in walbridge.yaml.
// What is read later goes over what was read before, key by key, so that a preset can be
// changed where it has to be.
//
// Mistakes have their place in the file that they come from, as package yamldoc gives it.
package formfile
