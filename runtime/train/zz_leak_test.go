package train
import ("testing";"runtime";"mixr/runtime/compile";"mixr/runtime/ort/orttest")
func heap() float64 { runtime.GC(); var m runtime.MemStats; runtime.ReadMemStats(&m); return float64(m.HeapAlloc)/1e6 }
func TestLeakOpen(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "grpo.steps=1", frozen)
	p, err := compile.Compile(in.Experiment, in.Config)
	check(t, err)
	for i := range 120 {
		m, err := openModel(orttest.Open(t), p)
		check(t, err)
		m.Close()
		if i%20 == 19 { t.Logf("%d opens: %.1f MB heap %.1f", i+1, mb(resident(t)), heap()) }
	}
}
func TestLeakRuns(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue", "grpo.steps=1", frozen, "eval.examples=0")
	for i := range 100 {
		w.finished(in, Options{})
		if i%20 == 19 { t.Logf("%d runs: %.1f MB heap %.1f", i+1, mb(resident(t)), heap()) }
	}
}
