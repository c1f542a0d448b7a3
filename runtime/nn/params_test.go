package nn

import (
	"reflect"
	"strings"
	"testing"

	"mixr/runtime/graph"
)

func TestParamsNamesAndOrder(t *testing.T) {
	g, err := graph.Build("names", func(g *graph.Graph) {
		p := NewParams(g)
		x := g.Input("x", graph.F32, "T", 6)
		layer := p.At("model.layers.%d", 1)
		x = Linear(layer.At("proj"), x, 6, 4, WithBias)
		x = RMSNorm(layer.At("norm"), x, 4, 1e-6)
		first, second := p.Weight("head.weight", 5, 4), p.Weight("head.weight", 5, 4)
		if first != second {
			t.Error("a second use declared a second input")
		}
		g.Output("y", graph.Linear(x, first, nil))
		want := []Spec{
			{"model.layers.1.proj.weight", []int{4, 6}},
			{"model.layers.1.proj.bias", []int{4}},
			{"model.layers.1.norm.weight", []int{4}},
			{"head.weight", []int{5, 4}},
		}
		if got := layer.List(); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(g.Inputs()); n != 5 {
		t.Errorf("got %d inputs, want x and 4 parameters", n)
	}
}

func TestParamsRefusesAnotherShape(t *testing.T) {
	_, err := graph.Build("shapes", func(g *graph.Graph) {
		p := NewParams(g)
		p.Weight("w", 2, 3)
		p.Weight("w", 3, 2)
	})
	if err == nil || !strings.Contains(err.Error(), "[3, 2]") {
		t.Errorf("got %v, want an error that names the shape", err)
	}
}
