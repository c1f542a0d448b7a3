package train

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/cpu"

	"mixr/runtime/table"
)

// TestGolden runs ten steps of both stages and compares every loss, reward and gradient norm with the committed text, bit for bit.
//
// ONNX Runtime picks its kernels by the processor's vector unit, and sums of other widths round differently: the file is of one unit.
// On others of the same platform the sft lines must come within 1e-4: an estimate, ten steps of float32
// rounding (some 1e-6 of the loss each) with room to spare, since no machine of another unit was at hand. The
// grpo lines are not compared there: a uniform that falls between two roundings of a CDF samples another token, and all differs
// from there. Other platforms skip. MIXR_UPDATE=1 rewrites the file.
func TestGolden(t *testing.T) {
	path := filepath.Join("testdata", "golden_"+runtime.GOOS+"_"+runtime.GOARCH+".txt")
	w := newWorld(t)
	var b strings.Builder
	fmt.Fprintf(&b, "vectors %s\n", vectors())
	grpo := w.open("tiny.cue", "grpo.steps=10", "grpo.iterations=2", "grpo.batch_size=20", "eval.examples=0", "checkpoint.every=50")
	spread := false
	for _, m := range rowsOf[table.Metrics](t, w.finished(grpo, Options{Workers: 2})) {
		fmt.Fprintf(&b, "grpo %d loss %v kl %v reward %v norm %v entropy %v tokens %d\n", m.Step, *m.Loss, *m.KL, *m.RewardMean, *m.GradNorm, *m.Entropy, m.TokCompletion)
		spread = spread || *m.ZeroStdFrac < 1
		if *m.GradNorm == 0 {
			t.Errorf("grpo step %d: the gradient is 0: the golden tests nothing", m.Step)
		}
	}
	if !spread {
		t.Error("no group has rewards that differ: the golden tests nothing")
	}
	sft := w.open("tiny_sft.cue", "sft.steps=10", "eval.examples=0", "checkpoint.every=50")
	for _, m := range rowsOf[table.Metrics](t, w.finished(sft, Options{Workers: 2})) {
		fmt.Fprintf(&b, "sft %d loss %v norm %v entropy %v tokens %d\n", m.Step, *m.Loss, *m.GradNorm, *m.Entropy, m.TokCompletion)
	}
	got := b.String()
	if os.Getenv("MIXR_UPDATE") == "1" {
		check(t, os.WriteFile(path, []byte(got), 0o644))
		return
	}
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		t.Skipf("there is no %s: MIXR_UPDATE=1 writes it", path)
	}
	check(t, err)
	want := string(text)
	if line, _, _ := strings.Cut(want, "\n"); line != "vectors "+vectors() {
		t.Logf("%s is of %s, this processor has %s: its sft lines are compared within 1e-4", path, line, vectors())
		compareNumbers(t, supervised(got), supervised(want))
		return
	}
	for i, line := range strings.Split(want, "\n") {
		if other := strings.Split(got, "\n"); i >= len(other) || other[i] != line {
			t.Fatalf("%s:%d: numerics changed; if that is intended, rewrite it with MIXR_UPDATE=1 and raise the numerics version\n got %s\nwant %s",
				path, i+1, other[min(i, len(other)-1)], line)
		}
	}
}

// vectors names the vector unit by which ONNX Runtime chooses its kernels.
func vectors() string {
	switch {
	case cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL:
		return "avx512"
	case cpu.X86.HasAVX2 && cpu.X86.HasFMA:
		return "avx2"
	case runtime.GOARCH == "arm64":
		return "neon"
	}
	return "sse2"
}

// supervised is the part of a golden text that no sampled token decides.
func supervised(text string) string { return text[strings.Index(text, "sft 1 "):] }

// compareNumbers compares two texts word by word, numbers within 1e-4.
func compareNumbers(t *testing.T, got, want string) {
	t.Helper()
	a, b := strings.Fields(got), strings.Fields(want)
	if len(a) != len(b) {
		t.Fatalf("%d words, want %d", len(a), len(b))
	}
	for i := range a {
		x, err := strconv.ParseFloat(a[i], 64)
		y, _ := strconv.ParseFloat(b[i], 64)
		if err != nil && a[i] != b[i] || math.Abs(x-y) > 1e-4*max(1, math.Abs(y)) {
			t.Errorf("word %d: got %s, want %s", i, a[i], b[i])
		}
	}
}
