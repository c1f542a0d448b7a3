package spec

import (
	"fmt"
	"strconv"
	"strings"
)

// evalPrefix begins the stop metrics that are means over an evaluation.
const evalPrefix = "eval."

// Evaluated is the column of table eval whose mean the rule looks at; ok is false where it looks at something else.
func (r StopRule) Evaluated() (column string, ok bool) {
	return strings.CutPrefix(r.Metric, evalPrefix)
}

// String says the rule in words: "kl above 0.5 for 3 steps, after step 100". Equal rules have equal words, others have not.
func (r StopRule) String() string {
	var b strings.Builder
	limit := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	switch {
	case r.Monitor != "":
		fmt.Fprintf(&b, "%s in alert", r.Monitor)
	case r.Above != nil:
		fmt.Fprintf(&b, "%s above %s", r.Metric, limit(*r.Above))
	case r.Below != nil:
		fmt.Fprintf(&b, "%s below %s", r.Metric, limit(*r.Below))
	}
	if r.For > 1 {
		unit := "steps"
		if _, ok := r.Evaluated(); ok {
			unit = "evaluations"
		}
		fmt.Fprintf(&b, " for %d %s", r.For, unit)
	}
	if r.After > 0 {
		fmt.Fprintf(&b, ", after step %d", r.After)
	}
	return b.String()
}

// Beyond reports whether a value of the metric is beyond the rule's bound; nil is not.
func (r StopRule) Beyond(value *float64) bool {
	switch {
	case value == nil:
		return false
	case r.Above != nil:
		return *value > *r.Above
	}
	return r.Below != nil && *value < *r.Below
}
