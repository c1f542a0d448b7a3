package qwen25vl

import (
	"fmt"
	"slices"
	"testing"

	"mixr/runtime/fixture"
	"mixr/runtime/models"
)

// The graphs, fed by the package's own host code, against the float64 reference.
func TestParity(t *testing.T) {
	gqa := func(kv int) func(*Config) { return func(c *Config) { c.NumKVHeads = kv } }
	cases := []struct {
		name   string
		change func(*Config)
		grids  []Grid
		videos []*models.Picture // behind the images
	}{
		{"text alone", nil, nil, nil},
		{"one window", nil, []Grid{{4, 4}}, nil},
		{"windows divide", nil, []Grid{{8, 4}}, nil},
		{"windows cut at both borders", nil, []Grid{{6, 10}}, nil},
		{"one merged token", nil, []Grid{{2, 2}}, nil},
		{"several images", nil, []Grid{{6, 10}, {2, 4}, {4, 4}}, nil},
		{"all blocks full", func(c *Config) { c.Vision.FullAttBlocks = []int{0, 1, 2} }, []Grid{{6, 4}, {2, 6}}, nil},
		{"no block full", func(c *Config) { c.Vision.FullAttBlocks = nil }, []Grid{{6, 4}, {2, 6}}, nil},
		{"one key head", gqa(1), []Grid{{6, 2}}, nil},
		{"as many key heads as query heads", gqa(4), []Grid{{6, 2}}, nil},
		{"a window row and column left over", nil, []Grid{{10, 6}}, nil},
		{"as narrow as it gets", nil, []Grid{{2, 30}, {30, 2}}, nil},
		{"a video of one step", nil, nil, []*models.Picture{video(2, 1, 4, 6)}},
		{"a video in windows", nil, nil, []*models.Picture{video(1.5, 3, 6, 6)}},
		{"images and videos", nil, []Grid{{4, 2}, {2, 2}}, []*models.Picture{video(4, 2, 2, 6), video(0.3, 2, 6, 2)}},
		{"untied head", func(c *Config) { c.TieEmbeddings = false }, []Grid{{4, 6}}, nil},
	}
	for i, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			c := tiny()
			if test.change != nil {
				test.change(c)
			}
			m, p := newModel(c), mixed(c, uint64(i), 4, append(stillImages(test.grids...), test.videos...)...)
			got := m.forward(t, p, nil)["logits"].Floats()
			fixture.Close(t, "logits", got, slices.Concat(p.logits(m.reference())...), 2e-4)
		})
	}
}

// A prompt with its completions in one row must give what each completion gives behind the prompt alone.
func TestPackedEqualsUnpacked(t *testing.T) {
	c := tiny()
	m, p := newModel(c), newPrompt(c, 7, 3, Grid{6, 4})
	completions := [][]int{{1, 2, 3}, {4}, {5, 6, 7, 8, 9}, {2, 2}}
	packed := m.forward(t, p, completions)["logits"].Floats()
	at, v := len(p.ids), c.VocabSize
	for i, completion := range completions {
		whole := p
		whole.ids = slices.Concat(p.ids, completion)
		want := slices.Concat(whole.logits(m.reference())...)
		fixture.Close(t, "prompt", packed[:len(p.ids)*v], want[:len(p.ids)*v], 2e-4)
		fixture.Close(t, fmt.Sprintf("completion %d", i), packed[at*v:(at+len(completion))*v], want[len(p.ids)*v:], 2e-4)
		at += len(completion)
	}
}
