package nn

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"mixr/runtime/graph"
)

// LoRA describes low-rank adapters (arXiv 2106.09685). A linear layer that has one computes
//
//	y = W x + b + Scale B A drop(x)
//
// with A [Rank, in] and B [out, Rank] beside W, as parameters lora_A.weight and lora_B.weight. B begins as 0, so that the model
// begins as its base. Only linear layers below Params.Layer get one.
type LoRA struct {
	Rank    int
	Scale   float64  // alpha / rank
	Targets []string // last names of the linear layers that get one: q_proj, ...
	Dropout float64  // share of the elements of x that A does not see in training; the others are divided by 1 - Dropout
}

// Adapters of a model whose repeated layers were declared through Params.Layer: a graph is adapted before its layers are built.
// keys [layers, N, T] int64, each 1 to KeyRange - 1, decides what is dropped at each token of x [N, T, in]; nil drops nothing, which
// is what everything but training wants.
func (p *Params) Adapt(l *LoRA, keys *graph.Value) { p.reg.lora, p.reg.keys = l, keys }

// Layer is the scope for repeated part i of a model, where linear layers have the adapters of Adapt.
func (p *Params) Layer(i int) *Params {
	l := &Params{prefix: p.prefix, reg: p.reg, adapts: p.reg.lora != nil}
	if keys := p.reg.keys; keys != nil && p.reg.lora != nil && p.reg.lora.Dropout > 0 {
		l.key = graph.Reshape(graph.Slice(keys, 0, i, i+1), keys.Dim(1), keys.Dim(2))
	}
	return l
}

// adapter returns Scale B A drop(x) for the linear layer of this scope, or nil if it has none. x [..., in].
func (p *Params) adapter(x *graph.Value, in, out int) *graph.Value {
	name := p.prefix[strings.LastIndexByte(strings.TrimSuffix(p.prefix, "."), '.')+1 : max(len(p.prefix)-1, 0)]
	if !p.adapts || !slices.Contains(p.reg.lora.Targets, name) {
		return nil
	}
	l := p.reg.lora
	scale := l.Scale
	if p.key != nil {
		x, scale = p.drop(x, in, name), scale/(1-l.Dropout)
	}
	low := graph.Linear(x, p.Weight("lora_A.weight", l.Rank, in), nil) // [..., R]
	return graph.Scale(graph.Linear(low, p.Weight("lora_B.weight", out, l.Rank), nil), scale)
}

// KeyRange is the prime 2^31 - 1, modulo which the keys of dropout are multiplied: products stay below 2^62.
const KeyRange = math.MaxInt32

// drop sets elements of x [N, T, in] to 0. Element j of token t stays where key_t * salt * c_j mod KeyRange lies below a bound, with a
// salt for the linear layer's name and fixed random numbers c_j. So what is dropped follows from the token's key, the name and the
// column alone: not from the packing of tokens, their number or who computes them. Two elements with unlike keys or columns are
// dropped independently, since products with a random factor are uniform over the prime field.
func (p *Params) drop(x *graph.Value, in int, name string) *graph.Value {
	g := p.reg.g
	number := func(n int64) *graph.Value { return g.Ints([]int{1}, n) }
	hash := fnv.New64a()
	hash.Write([]byte(name))
	salt := fieldElement(rand.New(rand.NewPCG(hash.Sum64(), 0)))
	columns, rng := make([]int64, in), rand.New(rand.NewPCG(0, 0))
	for j := range columns {
		columns[j] = fieldElement(rng)
	}
	key := graph.Mod(graph.Mul(p.key, number(salt)), number(KeyRange))                    // [N, T]
	key = graph.Reshape(key, key.Dim(0), key.Dim(1), 1)                                   // [N, T, 1]
	draw := graph.Mod(graph.Mul(key, g.Ints([]int{in}, columns...)), number(KeyRange))    // [N, T, in]
	stays := graph.Less(draw, number(int64(math.Round((1-p.reg.lora.Dropout)*KeyRange)))) // [N, T, in]
	return graph.Where(stays, x, g.Floats([]int{1}, 0))
}

// fieldElement draws from 1 to KeyRange - 1.
func fieldElement(rng *rand.Rand) int64 { return 1 + rng.Int64N(KeyRange-1) }

// InitAdapter fills dst with the initial value of an adapter's matrix, as PEFT draws it: A uniform within 1/sqrt(in) (Kaiming's rule
// with a = sqrt 5), B zero. The values depend on the seed, the name and the shape alone.
func InitAdapter(s Spec, seed uint64, dst []float32) {
	clear(dst)
	if !strings.HasSuffix(s.Name, "lora_A.weight") {
		return
	}
	h := fnv.New64a()
	h.Write([]byte(s.Name))
	rng, bound := rand.New(rand.NewPCG(seed, h.Sum64())), 1/math.Sqrt(float64(s.Shape[1]))
	for i := range dst {
		dst[i] = float32((2*rng.Float64() - 1) * bound)
	}
}
