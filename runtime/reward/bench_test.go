package reward

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

// perSecond reports how many rows a benchmark has scored a second, over all its goroutines.
func perSecond(b *testing.B, rows int) {
	b.ReportMetric(float64(b.N)*float64(rows)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkMatching scores yes/no and multiple-choice completions on all cores.
func BenchmarkMatching(b *testing.B) {
	s, err := NewScorer(&spec.Experiment{
		Route:   map[string]string{"yesno": "matching", "mcq": "matching"},
		Rewards: spec.Rewards{Matching: &spec.Matching{Weight: 1}, Format: &spec.Format{Weight: 0.5}},
	}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	think := "<think>The picture shows three shapes. The black square lies to the left of the yellow circle, and both touch the lower edge.</think>"
	choices := []string{"to the left", "to the right", "above", "below"}
	type row struct {
		ex   data.Example
		text string
	}
	var rows []row
	for _, a := range []string{"yes", "No.", "Yes, there is one.", "no, the square is black", "maybe"} {
		rows = append(rows, row{data.Example{Task: data.YesNo, Answers: []string{"yes"}}, think + "<answer>" + a + "</answer>"})
	}
	for _, a := range []string{"A", "(B)", "C. above", "to the left", "The answer is D."} {
		rows = append(rows, row{data.Example{Task: data.MCQ, Choices: choices, Answers: []string{"A"}}, think + "<answer>" + a + "</answer>"})
	}
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			for _, r := range rows {
				if _, err := s.Score(r.ex, r.text, Frame{}); err != nil {
					b.Error(err)
				}
			}
		}
	})
	perSecond(b, len(rows))
}

// BenchmarkBMAS compares two texts of 64 different tokens each, on all cores.
func BenchmarkBMAS(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	rows := func(n, d int) [][]float32 {
		out := make([][]float32, n)
		for i := range out {
			x := make([]float32, d)
			for k := range x {
				x[k] = float32(rng.NormFloat64())
			}
			out[i] = unitRow(x)
		}
		return out
	}
	const tokens, width = 64, 512
	e, f := rows(tokens, width), rows(tokens, width)
	b.Run(fmt.Sprintf("T=%d,D=%d", tokens, width), func(b *testing.B) {
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				Similarity(e, f)
			}
		})
		perSecond(b, 1)
	})
}
