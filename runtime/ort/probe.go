package ort

import (
	"fmt"

	"mixr/runtime/graph"
)

// Probe runs a graph of one addition and compares the sum, to show that the library computes on this machine and reads
// the opset that mixr writes. It takes about a millisecond.
func (e *Engine) Probe() error {
	g, err := graph.Build("probe", func(g *graph.Graph) {
		x := g.Input("x", graph.F32, "N")
		g.Output("y", graph.Add(x, x))
	})
	if err != nil {
		return fmt.Errorf("ort: probe: %w", err)
	}
	s, err := e.NewSession(g, SessionOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	b, err := s.NewBinding()
	if err != nil {
		return err
	}
	defer b.Close() // before the session: deferred calls run backwards
	x, err := e.NewTensor(graph.F32, 2)
	if err != nil {
		return err
	}
	defer x.Free()
	copy(x.Float32(), []float32{1, -2.5})
	if err := b.Input("x", x); err != nil {
		return err
	}
	if err := b.OutputAuto("y"); err != nil {
		return err
	}
	if err := b.Run(); err != nil {
		return err
	}
	out, err := b.Outputs()
	if err != nil {
		return err
	}
	y := out["y"]
	defer y.Free()
	if got := y.Float32(); len(got) != 2 || got[0] != 2 || got[1] != -5 {
		return fmt.Errorf("ort: probe: 1 + 1 and -2.5 - 2.5 gave %v: %s is broken", got, e.lib)
	}
	return nil
}
