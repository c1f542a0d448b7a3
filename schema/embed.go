// Package schema holds the CUE definitions of experiments, studies and dataset cards, and embeds them in the binary.
//
// The files are the contract of the project: each field has its constraint, its only default and a comment that gives
// meaning, unit and reason. Researchers import them as "mixr.dev/schema". The definitions use no unions of structs and
// no conditions, so that one mistake is one message; rules between fields are checked by package spec, in its own words.
//
// An attribute @want(TEXT) on a field is the wording of its constraint in messages, where CUE's own would be noise;
// @holds(#Definition) says that a block has fields of another definition, in part and without its defaults.
package schema

import "embed"

// ImportPath is the path by which experiment files import the definitions.
const ImportPath = "mixr.dev/schema"

// Version is the schema's major version. Within a major only optional fields are added, so old runs keep their
// fingerprints; a changed default or a removed field needs a new major.
const Version = "v1"

// Files are the definitions, one topic a file.
//
//go:embed *.cue
var Files embed.FS
