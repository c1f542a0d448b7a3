package reward

import (
	"fmt"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

// Values of rewards.matching.strictness; the empty one is named.
const (
	strictly  = "strict"
	named     = "named"
	leniently = "lenient"
)

// newMatching is the matching reward of a task.
func newMatching(task data.Task, m *spec.Matching) (judge, error) {
	switch m.Strictness {
	case "", named, strictly, leniently:
	default:
		return nil, fmt.Errorf("rewards.matching.strictness: unknown value %q, want named, strict or lenient", m.Strictness)
	}
	if task == data.YesNo {
		return yesNo{m.Strictness}, nil
	}
	switch m.Names {
	case "", "either":
		return choice{m.Strictness, true, true}, nil
	case "letter":
		return choice{m.Strictness, true, false}, nil
	case "text":
		return choice{m.Strictness, false, true}, nil
	}
	return nil, fmt.Errorf("rewards.matching.names: unknown value %q, want either, letter or text", m.Names)
}
