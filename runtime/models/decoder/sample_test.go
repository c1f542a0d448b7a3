package decoder

import (
	"math"
	"math/rand/v2"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort/orttest"
)

func sampler(t *testing.T, rows any, v int) *orttest.Runner {
	t.Helper()
	return orttest.NewRunner(t, "sample", func(g *graph.Graph) {
		token, logp := Sample(g.Input("logits", graph.F32, rows, v), g.Input("u", graph.F32, "G", 1), g.Input("temperature", graph.F32, 1))
		g.Output("token", token)
		g.Output("logp", logp)
	})
}

// tempered is softmax(logits / temperature) in float64.
func tempered(logits []float32, temperature float64) []float64 {
	p, top, sum := make([]float64, len(logits)), math.Inf(-1), 0.0
	for _, x := range logits {
		top = max(top, float64(x))
	}
	for i, x := range logits {
		p[i] = math.Exp((float64(x) - top) / temperature)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// Over an even grid of uniforms each token must come up as often as its probability says, within the two grid points at the ends
// of its interval; in order of the vocabulary; and with its log-probability. Sizes: blocks of 6, a prime (no blocks), a square.
func TestSampleFrequencies(t *testing.T) {
	for _, v := range []int{60, 31, 64} {
		for _, temperature := range []float64{1, 0.3, 2} {
			const n = 4000
			rng := rand.New(rand.NewPCG(uint64(v), 5))
			logits := make([]float32, v)
			for i := range logits {
				logits[i] = float32(2 * rng.NormFloat64())
			}
			logits[3], logits[v-1] = -1e4, -1e4 // probability 0, in a block and at the end
			u := make([]float32, n)
			for i := range u {
				u[i] = (float32(i) + 0.5) / n
			}
			got := sampler(t, 1, v).Run(map[string]orttest.Value{
				"logits": orttest.F32(logits, 1, v), "u": orttest.F32(u, n, 1), "temperature": orttest.F32([]float32{float32(temperature)}, 1),
			})
			want, count := tempered(logits, temperature), make([]int, v)
			tokens, logp := got["token"].Data.([]int64), got["logp"].Floats()
			for i, token := range tokens {
				count[token]++
				if i > 0 && token < tokens[i-1] {
					t.Fatalf("V=%d: token %d at u=%g after token %d", v, token, u[i], tokens[i-1])
				}
				if d := math.Abs(float64(logp[i]) - math.Log(want[token])); !(d < 1e-5) {
					t.Fatalf("V=%d: logp of token %d is %g, want %g", v, token, logp[i], math.Log(want[token]))
				}
			}
			for token, p := range want {
				if d := math.Abs(float64(count[token]) - n*p); d > 1.01 {
					t.Errorf("V=%d temperature %g: token %d drawn %d times of %d, want %.2f", v, temperature, token, count[token], n, n*p)
				}
			}
		}
	}
}

// Uniforms at both ends of (0, 1) must never draw a token of probability 0, however the sums round.
func TestSampleEnds(t *testing.T) {
	const v, rows = 30000, 64
	rng := rand.New(rand.NewPCG(9, 9))
	logits := make([]float32, rows*v)
	for i := range logits {
		logits[i] = float32(rng.NormFloat64())
		if i%v == 0 || i%v > v-500 {
			logits[i] = -1e4
		}
	}
	for _, end := range []float32{0x1p-32, 0x1p-24, 1 - 0x1p-24} {
		u := make([]float32, rows)
		for i := range u {
			u[i] = end
		}
		got := sampler(t, "G", v).Run(map[string]orttest.Value{
			"logits": orttest.F32(logits, rows, v), "u": orttest.F32(u, rows, 1), "temperature": orttest.F32([]float32{1}, 1),
		})
		for i, logp := range got["logp"].Floats() {
			if !(logp > -30) {
				t.Fatalf("u=%g: row %d drew token %d with logp %g", end, i, got["token"].Data.([]int64)[i], logp)
			}
		}
	}
}
