package decoder

import "math"

// Rope says which angle each of the E/2 rotary frequencies of a head has at a position.
type Rope struct {
	Theta float64 // base of the frequencies

	// Sections shares the frequencies among the position axes t, h and w, in this order (M-RoPE, arXiv 2409.12191); they sum to E/2.
	// nil: all turn with the first axis.
	Sections []int

	// Factor divides the frequencies, all of them (linear), or with Llama3 the slow ones; 0 or 1 = as they are.
	Factor float64
	Llama3 *Llama3
}

// Llama3 is the frequency rule of Llama 3.1: wavelengths above Original/Low are stretched by the factor, those below Original/High are
// kept, and between them it is interpolated (Hugging Face: rope_type llama3).
type Llama3 struct {
	Low, High float64 // low_freq_factor, high_freq_factor
	Original  float64 // original_max_position_embeddings
}

// Tables returns the rotary tables cos and sin, each [T, E/2] row after row, for tokens at pos (three axes of T positions; plain
// rotary positions read the first). Frequency j of a head is theta^(-2j/E). Rotation pairs component j of a head with j + E/2.
//
// Angles are products in float32, as in the reference, whose checkpoints have seen no others.
func (c *Config) Tables(pos [3][]int) (cos, sin []float32) {
	frequency := c.Rope.frequencies(c.HeadWidth / 2)
	sections := c.Rope.Sections
	if sections == nil {
		sections = []int{len(frequency)}
	}
	half := len(frequency)
	n := len(pos[0])
	cos, sin = make([]float32, n*half), make([]float32, n*half)
	for t := range n {
		j := 0
		for axis, count := range sections {
			for end := j + count; j < end; j++ {
				cos[t*half+j], sin[t*half+j] = Angle(pos[axis][t], frequency[j])
			}
		}
	}
	return cos, sin
}

func (r Rope) frequencies(n int) []float32 {
	f := Frequencies(r.Theta, n)
	for j := range f {
		switch {
		case r.Llama3 != nil:
			f[j] = r.Llama3.scale(f[j], r.Factor)
		case r.Factor > 1:
			f[j] = float32(float64(f[j]) / r.Factor)
		}
	}
	return f
}

// scale does the reference's operations, each rounded to float32; there a number divided by a tensor is a product with its reciprocal.
func (l *Llama3) scale(f float32, factor float64) float32 {
	low, high, original := float32(l.Low), float32(l.High), float32(l.Original)
	wavelength := float32(1/f) * float32(2*math.Pi)
	switch {
	case wavelength < original/high:
		return f
	case wavelength > original/low:
		return f / float32(factor)
	}
	// float32() around the products keeps the compiler from fusing them with the sums, which would round once.
	smooth := float32(float32(1/wavelength)*original-low) / (high - low)
	return float32(float32(1-smooth)*f)/float32(factor) + float32(smooth*f)
}

// Frequencies returns theta^(-j/n) for j in 0 to n-1, rounded to float32 where the reference rounds: the exponent, the power and its
// inverse.
func Frequencies(theta float64, n int) []float32 {
	f := make([]float32, n)
	for j := range f {
		exponent := float32(2*j) / float32(2*n)
		f[j] = 1 / float32(math.Pow(theta, float64(exponent)))
	}
	return f
}

// Angle is cosine and sine of position * frequency, the product taken in float32.
func Angle(position int, frequency float32) (cos, sin float32) {
	s, c := math.Sincos(float64(float32(position) * frequency))
	return float32(c), float32(s)
}
