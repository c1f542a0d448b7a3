package images

import "math"

// Bicubic resizes packed 8-bit RGB to w by h pixels with the arithmetic of Pillow's BICUBIC filter, bit for bit: first across, then
// down, each pass rounding to 8 bits, a pass skipped where the size stays; down first where an image more than 100 times as high as
// wide loses height. (Pillow 13 goes down first for more sizes, which changes roundings; published models were trained with the order
// of Pillow 12 and before.)
func Bicubic(src RGB, w, h int) RGB {
	if src.H > 100*src.W && h < src.H {
		src = down(src, h)
	}
	if src.W != w {
		src = resample(src, w, src.H, newTaps(src.W, w), 1, src.W)
	}
	if src.H != h {
		src = down(src, h)
	}
	return src
}

// down resizes to h rows.
func down(src RGB, h int) RGB { return resample(src, src.W, h, newTaps(src.H, h), src.W, 1) }

// taps are the source positions that each output position reads and their weights in fixed point.
type taps struct {
	from    []int // [out] first source position
	count   []int // [out] number of source positions
	weights []int // [out, stride]
	stride  int
}

// weightBits is the number of fractional bits of a weight: 8 bits of colour and 2 of head room (the cubic overshoots)
// leave 22 of 32.
const weightBits = 32 - 8 - 2

// newTaps computes the weights that turn in positions into out. With scale = in/out and f = max(scale, 1) (shrinking
// widens the filter, which is what prevents aliasing), output i has its centre at c = (i + 1/2)*scale and reads the
// sources j from c - 2f to c + 2f with weight keys((j - c + 1/2)/f), divided by the sum of the weights.
func newTaps(in, out int) taps {
	scale := float64(in) / float64(out)
	f := max(scale, 1)
	support := 2 * f
	t := taps{from: make([]int, out), count: make([]int, out), stride: int(math.Ceil(support))*2 + 1}
	t.weights = make([]int, out*t.stride)
	w := make([]float64, t.stride)
	for i := range out {
		c := (float64(i) + 0.5) * scale
		lo := max(int(c-support+0.5), 0)
		hi := min(int(c+support+0.5), in)
		sum := 0.0
		for j := lo; j < hi; j++ {
			w[j-lo] = keys((float64(j) - c + 0.5) * (1 / f))
			sum += w[j-lo]
		}
		t.from[i], t.count[i] = lo, hi-lo
		for k := range hi - lo {
			// math.Round rounds halves away from zero.
			t.weights[i*t.stride+k] = int(math.Round(w[k] / sum * (1 << weightBits)))
		}
	}
	return t
}

// keys is the cubic convolution kernel with a = -1/2 (Keys 1981).
func keys(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return float64(float64((a+2)*x)-(a+3))*x*x + 1
	case x < 2:
		return float64(float64(float64(float64(x-5)*x)+8)*x-4) * a
	}
	return 0
}

// resample applies taps along one dimension of src and returns w by h pixels. Neighbours along that dimension are step
// pixels apart; other is the number of pixels between neighbours along the other one.
func resample(src RGB, w, h int, t taps, step, other int) RGB {
	dst := New(w, h)
	for y := range h {
		for x := range w {
			i, fixed := x, y
			if step != 1 {
				i, fixed = y, x
			}
			weights := t.weights[i*t.stride:][:t.count[i]]
			at := Channels * (fixed*other + t.from[i]*step)
			r, g, b := 1<<(weightBits-1), 1<<(weightBits-1), 1<<(weightBits-1)
			for _, k := range weights {
				p := src.Pix[at : at+Channels : at+Channels]
				r += k * int(p[0])
				g += k * int(p[1])
				b += k * int(p[2])
				at += Channels * step
			}
			out := dst.Pix[Channels*(y*w+x):][:Channels]
			out[0], out[1], out[2] = level(r>>weightBits), level(g>>weightBits), level(b>>weightBits)
		}
	}
	return dst
}

// level clamps v to a colour level.
func level(v int) uint8 { return uint8(min(max(v, 0), 255)) }
