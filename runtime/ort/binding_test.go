package ort_test

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort"
	"mixr/runtime/ort/orttest"
)

// bound makes a session of g and a binding, closed when the test ends.
func bound(t *testing.T, e *ort.Engine, g *graph.Graph, o ort.SessionOptions) (*ort.Session, *ort.Binding) {
	t.Helper()
	s, err := e.NewSession(g, o)
	check(t, err)
	b, err := s.NewBinding()
	check(t, err)
	t.Cleanup(func() {
		check(t, b.Close())
		check(t, s.Close())
	})
	return s, b
}

func TestRun(t *testing.T) {
	e := orttest.Open(t)
	for _, o := range []ort.SessionOptions{{}, {Threads: 2}, {Level: 1}, {Level: 2, Threads: 1}} {
		s, b := bound(t, e, double(t), o)
		if s.Name() != "double" {
			t.Errorf("name %q", s.Name())
		}
		x, y := tensor(t, e, graph.F32, 2, 3), tensor(t, e, graph.F32, 2, 3)
		check(t, b.Input("x", x))
		check(t, b.Output("y", y))
		for round := range 3 { // the binding sees later contents
			for i := range x.Float32() {
				x.Float32()[i] = float32(i + round)
			}
			check(t, b.Run())
			for i, v := range y.Float32() {
				if v != float32(2*(i+round)) {
					t.Errorf("round %d: y %v", round, y.Float32())
				}
			}
		}
		if out, err := b.Outputs(); err != nil || len(out) != 0 {
			t.Errorf("outputs %v, %v, want none", out, err)
		}
	}
}

// TestOutputAuto takes outputs of two runs of different shape: the second must neither fail nor overwrite the first.
func TestOutputAuto(t *testing.T) {
	e := orttest.Open(t)
	g := build(t, "two", func(g *graph.Graph) {
		x := g.Input("x", graph.F32, "N", 3)
		g.Output("y", graph.Add(x, x))
		g.Output("z", graph.Mul(x, x))
		g.Output("w", graph.Neg(x))
	})
	s, err := e.NewSession(g, ort.SessionOptions{})
	check(t, err)
	b, err := s.NewBinding()
	check(t, err)
	fixed := tensor(t, e, graph.F32, 1, 3)
	check(t, b.OutputAuto("y"))
	check(t, b.Output("z", fixed))
	check(t, b.OutputAuto("w"))

	one := tensor(t, e, graph.F32, 1, 3)
	copy(one.Float32(), []float32{1, 2, 3})
	check(t, b.Input("x", one))
	_, err = b.Outputs()
	wantError(t, err, "two", "no run")
	check(t, b.Run())
	first, err := b.Outputs()
	check(t, err)
	_, err = b.Outputs()
	wantError(t, err, "no run")
	if len(first) != 2 || !slices.Equal(fixed.Float32(), []float32{1, 4, 9}) {
		t.Fatalf("outputs %v, z %v", first, fixed.Float32())
	}

	// Another shape; z is taken over by the run as well.
	two := tensor(t, e, graph.F32, 2, 3)
	copy(two.Float32(), []float32{10, 20, 30, 40, 50, 60})
	check(t, b.Input("x", two))
	check(t, b.OutputAuto("z"))
	check(t, b.Run())
	check(t, b.Run()) // the outputs of the first of these are dropped
	second, err := b.Outputs()
	check(t, err)
	check(t, b.Close())
	check(t, s.Close())

	// Taken outputs stay valid after binding and session are gone.
	for _, c := range []struct {
		got   *ort.Tensor
		shape []int
		want  []float32
	}{
		{first["y"], []int{1, 3}, []float32{2, 4, 6}},
		{first["w"], []int{1, 3}, []float32{-1, -2, -3}},
		{second["y"], []int{2, 3}, []float32{20, 40, 60, 80, 100, 120}},
		{second["z"], []int{2, 3}, []float32{100, 400, 900, 1600, 2500, 3600}},
		{second["w"], []int{2, 3}, []float32{-10, -20, -30, -40, -50, -60}},
	} {
		if !slices.Equal(c.got.Shape(), c.shape) || !slices.Equal(c.got.Float32(), c.want) {
			t.Errorf("got %s %v, want %v %v", c.got, c.got.Float32(), c.shape, c.want)
		}
		c.got.Free()
	}
}

// TestInPlace: one tensor bound as input and output, as optimizer state is.
func TestInPlace(t *testing.T) {
	e := orttest.Open(t)
	_, b := bound(t, e, double(t), ort.SessionOptions{})
	x := tensor(t, e, graph.F32, 1, 3)
	copy(x.Float32(), []float32{1, 2, 3})
	check(t, b.Input("x", x))
	check(t, b.Output("y", x))
	for range 4 {
		check(t, b.Run())
	}
	if !slices.Equal(x.Float32(), []float32{16, 32, 48}) {
		t.Errorf("x %v", x.Float32())
	}
}

// TestDroppedTensors guards the bug that made bound tensors live in C: dropped by Go while bound, they were collected.
func TestDroppedTensors(t *testing.T) {
	e := orttest.Open(t)
	_, b := bound(t, e, double(t), ort.SessionOptions{})
	func() {
		x, err := e.NewTensor(graph.F32, 1000, 3)
		check(t, err)
		for i := range x.Float32() {
			x.Float32()[i] = float32(i)
		}
		check(t, b.Input("x", x))
		x.Free() // the library keeps the memory of what is bound
	}()
	for range 5 {
		runtime.GC()
		tensor(t, e, graph.F32, 1000, 3) // would land in freed memory
	}
	check(t, b.OutputAuto("y"))
	check(t, b.Run())
	out, err := b.Outputs()
	check(t, err)
	defer out["y"].Free()
	for i, v := range out["y"].Float32() {
		if v != float32(2*i) {
			t.Fatalf("element %d is %v", i, v)
		}
	}
}

func TestBindErrors(t *testing.T) {
	e := orttest.Open(t)
	g := build(t, "pair", func(g *graph.Graph) {
		g.Output("y", graph.Add(g.Input("a", graph.F32, "N", 3), g.Input("b", graph.F32, "N", 3)))
	})
	_, b := bound(t, e, g, ort.SessionOptions{})
	x := tensor(t, e, graph.F32, 2, 3)
	wantError(t, b.Input("c", x), "pair", "no such input", "a, b")
	wantError(t, b.Output("a", x), "no such output", "y")
	wantError(t, b.OutputAuto("z"), "no such output")
	wantError(t, b.Input("a", tensor(t, e, graph.I64, 2, 3)), "got int64[2, 3], want float32[?, 3]")
	wantError(t, b.Input("a", tensor(t, e, graph.F32, 2, 4)), "got float32[2, 4]")
	wantError(t, b.Input("a", tensor(t, e, graph.F32, 3)), "got float32[3]")
	wantError(t, b.Output("y", tensor(t, e, graph.F32, 2, 4)), "got float32[2, 4]")
	freed := tensor(t, e, graph.F32, 2, 3)
	freed.Free()
	wantError(t, b.Input("a", freed), "was freed")

	check(t, b.Input("a", x))
	check(t, b.OutputAuto("y"))
	wantError(t, b.Run(), "run pair", "not bound: b")

	// What only the run itself can find out: the message has the graph, the shapes and the library's reason.
	check(t, b.Input("b", tensor(t, e, graph.F32, 4, 3)))
	wantError(t, b.Run(), "run pair", "a float32[2, 3]", "b float32[4, 3]", "broadcast")
	if _, err := b.Outputs(); err == nil {
		t.Error("outputs of a failed run")
	}
	check(t, b.Input("b", x)) // and the binding is usable again
	check(t, b.Run())
	out, err := b.Outputs()
	check(t, err)
	out["y"].Free()
	check(t, b.Output("y", tensor(t, e, graph.F32, 5, 3)))
	wantError(t, b.Run(), "run pair")

	check(t, b.Close())
	wantError(t, b.Run(), "closed")
	wantError(t, b.Input("a", x), "closed")
	wantError(t, b.OutputAuto("y"), "closed")
	_, err = b.Outputs()
	wantError(t, err, "pair")
}

func TestSessionErrors(t *testing.T) {
	e := orttest.Open(t)
	_, err := e.NewSession(double(t), ort.SessionOptions{Threads: -1})
	wantError(t, err, "double", "threads")
	_, err = e.NewSession(double(t), ort.SessionOptions{Level: 3})
	wantError(t, err, "level: got 3")
}

// TestConcurrentRuns runs one session from many goroutines, each with a binding of its own and a shared weight, and
// expects the bits of a run alone.
func TestConcurrentRuns(t *testing.T) {
	e := orttest.Open(t)
	const workers, rounds, K, M = 8, 25, 64, 48
	g := build(t, "mlp", func(g *graph.Graph) {
		x := g.Input("x", graph.F32, "N", K)
		w := g.Input("w", graph.F32, M, K)
		g.Output("y", graph.Softmax(graph.Linear(x, w, nil)))
	})
	s, reference := bound(t, e, g, ort.SessionOptions{Level: 1})
	w := tensor(t, e, graph.F32, M, K)
	fill(w, 1)

	want := make([][]float32, workers)
	for i := range want {
		x := tensor(t, e, graph.F32, i+1, K)
		fill(x, uint64(i))
		check(t, reference.Input("x", x))
		check(t, reference.Input("w", w))
		check(t, reference.OutputAuto("y"))
		check(t, reference.Run())
		out, err := reference.Outputs()
		check(t, err)
		want[i] = slices.Clone(out["y"].Float32())
		out["y"].Free()
	}

	errs := make([]error, workers)
	same := make([]bool, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			same[i], errs[i] = compare(e, s, w, want[i], i, rounds)
		})
	}
	wg.Wait()
	for i := range workers {
		if errs[i] != nil || !same[i] {
			t.Errorf("worker %d: same bits %v, error %v", i, same[i], errs[i])
		}
	}
}

// compare runs worker i's input again and again and reports whether the bits were want each time.
func compare(e *ort.Engine, s *ort.Session, w *ort.Tensor, want []float32, i, rounds int) (bool, error) {
	b, err := s.NewBinding()
	if err != nil {
		return false, err
	}
	defer b.Close()
	x, err := e.NewTensor(graph.F32, i+1, w.Shape()[1])
	if err != nil {
		return false, err
	}
	defer x.Free()
	fill(x, uint64(i))
	for _, bind := range []error{b.Input("x", x), b.Input("w", w), b.OutputAuto("y")} {
		if bind != nil {
			return false, bind
		}
	}
	same := true
	for range rounds {
		if err := b.Run(); err != nil {
			return false, err
		}
		out, err := b.Outputs()
		if err != nil {
			return false, err
		}
		for j, v := range out["y"].Float32() {
			same = same && math.Float32bits(v) == math.Float32bits(want[j])
		}
		out["y"].Free()
	}
	return same, nil
}

func fill(x *ort.Tensor, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	for i := range x.Float32() {
		x.Float32()[i] = float32(r.NormFloat64())
	}
}

// TestDenormals guards a trap: the library sets the denormal mode on the thread that creates the first session and on no
// other. Results must not depend on the thread, and Go's own arithmetic must keep its denormals.
func TestDenormals(t *testing.T) {
	e := orttest.Open(t)
	const tiny = float32(1.1754944e-38) // the smallest normal number
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			runtime.LockOSThread() // and never unlock: each goroutine has a fresh thread
			s, err := e.NewSession(double(t), ort.SessionOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			b, err := s.NewBinding()
			if err != nil {
				t.Error(err)
				return
			}
			defer b.Close()
			x := tensor(t, e, graph.F32, 1, 3)
			copy(x.Float32(), []float32{tiny / 4, tiny, -tiny / 2})
			y := tensor(t, e, graph.F32, 1, 3)
			for _, err := range []error{b.Input("x", x), b.Output("y", y), b.Run()} {
				if err != nil {
					t.Error(err)
				}
			}
			if got := y.Float32(); got[0] != 0 || got[1] != 2*tiny || got[2] != 0 {
				t.Errorf("y %v: denormals were not taken as zero", got)
			}
			if half := x.Float32()[1] / 2; half == 0 {
				t.Error("Go's arithmetic lost its denormals")
			}
		})
	}
	wg.Wait()
}

// BenchmarkRun is the cost of one run beside the arithmetic: a graph of one addition.
func BenchmarkRun(b *testing.B) {
	e := orttest.Open(b)
	g, err := graph.Build("double", func(g *graph.Graph) {
		x := g.Input("x", graph.F32, "N", 3)
		g.Output("y", graph.Add(x, x))
	})
	if err != nil {
		b.Fatal(err)
	}
	s, _ := e.NewSession(g, ort.SessionOptions{})
	bind, _ := s.NewBinding()
	x, _ := e.NewTensor(graph.F32, 1, 3)
	y, _ := e.NewTensor(graph.F32, 1, 3)
	if bind.Input("x", x) != nil || bind.Output("y", y) != nil {
		b.Fatal("not bound")
	}
	for b.Loop() {
		if err := bind.Run(); err != nil {
			b.Fatal(err)
		}
	}
}
