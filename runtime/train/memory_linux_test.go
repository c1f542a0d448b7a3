package train

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"mixr/runtime/table"
)

// Resident memory stays flat over steps: prompts, decoded images (verl #7391 kept them), tensors of ONNX Runtime and bindings are
// given back.
func TestMemoryStaysFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("runs 200 steps")
	}
	w := newWorld(t)
	in := w.open("tiny.cue", "grpo.steps=200", "grpo.iterations=2", "eval.examples=0", "checkpoint.every=10", "checkpoint.keep=1")
	var warm, end int
	dir := w.finished(in, Options{Workers: 2, Progress: func(e Event) {
		switch e.Done {
		case 100: // allocators have grown to their size by then
			warm = resident(t)
		case 200:
			end = resident(t)
		}
	}})
	timing := rowsOf[table.Timing](t, dir)
	wall := 0.0
	for _, row := range timing {
		wall += row.WallS
	}
	t.Logf("resident after 100 steps %.1f MB, after 200 %.1f MB; peak %.1f MB; %.1f ms a step", mb(warm), mb(end),
		mb(int(timing[len(timing)-1].HostPeakB)), 1000*wall/float64(len(timing)))
	// A leak of one group's tensors (0.4 MB of gradients alone) would show as 40 MB and more; a few MB come and go with Go's heap.
	if grown := mb(end - warm); grown > 12 {
		t.Errorf("resident memory grew by %.1f MB over 100 steps", grown)
	}
}

func mb(bytes int) float64 { return float64(bytes) / 1e6 }

// resident is the memory of this process that is in RAM, in bytes.
func resident(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/statm")
	check(t, err)
	var size, pages int
	if _, err := fmt.Fscan(bytes.NewReader(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
