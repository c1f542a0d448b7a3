package spec

import (
	"fmt"
	"strings"
)

// Explain returns the value at path, or all values of the block at path, with where each comes from. The error names
// the nearest path where there is no such value.
func (r *Resolved) Explain(path string) ([]Leaf, error) {
	var out []Leaf
	var all, keys []string
	for _, l := range r.Leaves {
		if Under(path, l.Path) {
			out = append(out, l)
		}
		parts := split(l.Path)
		all, keys = append(all, l.Path), append(keys, parts[len(parts)-1])
	}
	if out != nil {
		return out, nil
	}
	hint := nearest(path, all)
	parts := split(path)
	if last := nearest(parts[len(parts)-1], keys); hint == "" && last != "" {
		for _, p := range all {
			if strings.HasSuffix("."+p, "."+last) {
				hint = p
				break
			}
		}
	}
	if hint != "" {
		return nil, fmt.Errorf("the experiment has no value %s (%s)", path, didYouMean(hint))
	}
	return nil, fmt.Errorf("the experiment has no value %s", path)
}

// String is the account of a value that `mixr explain` prints:
//
//	grpo.kl = 0.1
//	    set at        command line
//	    overrides     0.04 at ladder.cue:12:3 (base)
//	    default       0.04
//	    constrained   schema/grpo.cue:29:2: a finite number of at least 0
//	    Weight of the KL penalty (estimator k3) ...
func (l Leaf) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s = %s\n", l.Path, l.Value)
	if len(l.Writers) == 0 {
		fmt.Fprintf(&b, "    set at        schema default\n")
	}
	for i, w := range l.Writers {
		switch {
		case i == 0:
			fmt.Fprintf(&b, "    set at        %s\n", w.place())
		case w.Value == l.Writers[0].Value && w.By == l.Writers[0].By:
			fmt.Fprintf(&b, "    also at       %s\n", w.place())
		default:
			fmt.Fprintf(&b, "    overrides     %s at %s\n", w.Value, w.place())
		}
	}
	if l.Default != "" && len(l.Writers) > 0 {
		fmt.Fprintf(&b, "    default       %s\n", l.Default)
	}
	fmt.Fprintf(&b, "    constrained   %s: %s\n", l.Rule, l.Want)
	if l.Doc != "" {
		fmt.Fprintf(&b, "    %s\n", l.Doc)
	}
	return b.String()
}

func (w Writer) place() string {
	if w.By == "" || w.By == w.Pos.File {
		return w.Pos.String()
	}
	return fmt.Sprintf("%s (%s)", w.Pos, w.By)
}
