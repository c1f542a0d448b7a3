package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"mixr/runtime/spec"
	"mixr/schema"
)

// idle are the values that do not decide a result: names, checkpoints (a resumed run equals an uninterrupted one), the family, which the
// checkpoint says, stop rules, which decide how much of a result there is, and what reports compute from any run.
var idle = []string{"name", "notes", "schema", "checkpoint", "policy.family", "stop_when", "eval.pass_k"}

// byContent are paths, which count by the content that they lead to; Parts has its hashes.
var byContent = []string{"policy.from", "data.sources.*.card"}

// Parts are the hashes that are computed outside: plan reads no files.
type Parts struct {
	Data     map[string]string // source of the mix -> content hash of its data
	Weights  string            // content hash of the policy folder: weights, configuration and tokenizer
	Numerics string            // version of the program's arithmetic and of the engine: equal bits on one kind of processor and one build of the engine
}

// Fingerprint is the identity of a trial in named parts, each a SHA-256 in hex. Equal fingerprints are never computed
// twice; the parts say what is different where they are not equal.
type Fingerprint struct {
	Spec    string `json:"spec"`    // values that differ from the schema's defaults
	Data    string `json:"data"`    // content of every source
	Weights string `json:"weights"` // content of the initial policy
	Engine  string `json:"engine"`  // numerics
	Schema  string `json:"schema"`  // the schema's major version
	All     string `json:"all"`     // of the five above
}

// Identify returns the fingerprint of an experiment.
func Identify(e *spec.Experiment, p Parts) Fingerprint {
	var data strings.Builder
	for _, source := range slices.Sorted(maps.Keys(p.Data)) {
		fmt.Fprintf(&data, "%s %s\n", source, p.Data[source])
	}
	f := Fingerprint{
		Spec:    sum(identity(e)),
		Data:    sum([]byte(data.String())),
		Weights: sum([]byte(p.Weights)),
		Engine:  sum([]byte(p.Numerics)),
		Schema:  sum([]byte(schema.Version)),
	}
	var all strings.Builder
	for _, part := range f.parts() {
		fmt.Fprintf(&all, "%s %s\n", part.name, part.hash)
	}
	f.All = sum([]byte(all.String()))
	return f
}

// Short is the fingerprint as shown and as used in folder names.
func (f Fingerprint) Short() string { return f.All[:min(12, len(f.All))] }

type part struct{ name, hash string }

func (f Fingerprint) parts() []part {
	return []part{{"spec", f.Spec}, {"data", f.Data}, {"weights", f.Weights}, {"engine", f.Engine}, {"schema", f.Schema}}
}

// identity is the canonical text of the values that decide a result, less those that count by content.
func identity(e *spec.Experiment) []byte { return spec.Changed(e, slices.Concat(idle, byContent)...) }

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}
