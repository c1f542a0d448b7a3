package cli

import (
	"testing"

	"mixr/runtime/compile"
)

// What is refused says by which settings it would fit, or how far from it the least is.
func TestTooLarge(t *testing.T) {
	const gb = 1e9
	bytes := func(n int64) compile.Memory { return compile.Memory{{Name: "weights", Bytes: n * gb}} }
	all := []estimate{
		{ways[0], true, bytes(40), bytes(30)},
		{ways[1], false, bytes(35), bytes(25)},
		{ways[2], false, bytes(20), bytes(15)},
		{ways[3], false, bytes(10), bytes(8)},
	}
	const lora, both = "policy: lora: {}, policy: recompute: false", "policy: lora: {}, policy: recompute: true"
	for _, c := range []struct {
		all   []estimate
		total int64
		want  string
	}{
		{all, 32, "what fits: " + lora + " (20.0 GB), or " + both + " (10.0 GB), or --workers 1 --in-flight 1 (30.0 GB)"},
		{all, 10, "what fits: " + both + " (10.0 GB)"},
		{all, 9, "what fits: " + both + " with --workers 1 --in-flight 1 (8.0 GB)"},
		{all, 7, "nothing that mixr knows makes it fit; the least is 8.0 GB, by " + both + " with --workers 1 --in-flight 1"},
		{all[:1], 7, "with --workers 1 --in-flight 1 it takes 30.0 GB"},
	} {
		got := tooLarge("x", c.all, c.total*gb).Error()
		want := "x takes about 40.0 GB, and this machine has " + size(c.total*gb)
		if got != want+"; "+c.want && got != want+": "+c.want {
			t.Errorf("of %d GB: %s", c.total, got)
		}
	}
}
