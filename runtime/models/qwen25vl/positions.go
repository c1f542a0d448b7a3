package qwen25vl

import (
	"fmt"
	"math"
)

// Positions returns the M-RoPE positions of one prompt on the axes t, h and w, each [T], and the position that follows
// on all three (Hugging Face: get_rope_index). Text advances the three axes together. An image stands still on t and
// is a grid of merged visual tokens on h and w, all counted from where the text stopped; what follows continues one
// after the highest position used. Completion token i is at next + i on every axis.
//
// With text of 2 tokens, an image of 2 by 3 merged tokens and one more token of text:
//
//	t: 0 1  2 2 2 2 2 2  5
//	h: 0 1  2 2 2 3 3 3  5
//	w: 0 1  2 3 4 2 3 4  5    next = 6
//
// ids hold exactly grid.Merged() image tokens for each of grids, in order; anything else is an error. Video tokens are
// an error.
func (c *Config) Positions(ids []int, grids []Grid) (pos [3][]int, next int, err error) {
	for axis := range pos {
		pos[axis] = make([]int, 0, len(ids))
	}
	add := func(t, h, w int) {
		pos[0], pos[1], pos[2] = append(pos[0], t), append(pos[1], h), append(pos[2], w)
	}
	image := 0
	for i := 0; i < len(ids); {
		switch ids[i] {
		case c.VideoTokenID:
			return pos, 0, fmt.Errorf("qwen25vl: token %d is a video token: videos are not supported", i)
		case c.ImageTokenID:
			if image == len(grids) {
				return pos, 0, fmt.Errorf("qwen25vl: token %d is an image token beyond the %d images given", i, len(grids))
			}
			g := grids[image]
			end := i
			for end < len(ids) && end < i+g.Merged() && ids[end] == c.ImageTokenID {
				end++
			}
			if end != i+g.Merged() {
				return pos, 0, fmt.Errorf("qwen25vl: image %d has %d tokens from token %d on, want %d for a grid of %d by %d patches",
					image, end-i, i, g.Merged(), g.H, g.W)
			}
			rows, columns := g.H/MergeSize, g.W/MergeSize
			for h := range rows {
				for w := range columns {
					add(next, next+h, next+w)
				}
			}
			next += max(1, rows, columns)
			i, image = end, image+1
		default:
			add(next, next, next)
			next++
			i++
		}
	}
	if image != len(grids) {
		return pos, 0, fmt.Errorf("qwen25vl: %d images given, but the prompt has tokens for %d", len(grids), image)
	}
	return pos, next, nil
}

// ImageRows tells for each of ids which row of the visual features [M, D] stands there: index [T] is that row (0 for
// text) and isImage [T] whether there is one. Rows are used in order, so the features of a prompt's images follow each
// other in its order.
func (c *Config) ImageRows(ids []int) (index []int64, isImage []bool) {
	index, isImage = make([]int64, len(ids)), make([]bool, len(ids))
	row := int64(0)
	for i, id := range ids {
		if id == c.ImageTokenID {
			index[i], isImage[i] = row, true
			row++
		}
	}
	return index, isImage
}

// TextRope returns the rotary tables cos and sin, each [T, E/2] row after row, for tokens at pos (three axes of T
// positions). Frequency j of a head is theta^(-2j/E); the first mrope_section[0] frequencies turn with the t position,
// the next with h, the last with w. Rotation pairs component j of a head with component j + E/2.
//
// Angles are products in float32, as in the reference, whose checkpoints have seen no others.
func (c *Config) TextRope(pos [3][]int) (cos, sin []float32) {
	frequency := frequencies(c.RopeTheta, c.HeadDim()/2)
	half := len(frequency)
	n := len(pos[0])
	cos, sin = make([]float32, n*half), make([]float32, n*half)
	for t := range n {
		j := 0
		for axis, count := range c.RopeScaling.MRopeSection {
			for end := j + count; j < end; j++ {
				cos[t*half+j], sin[t*half+j] = cosSin(pos[axis][t], frequency[j])
			}
		}
	}
	return cos, sin
}

// frequencies returns theta^(-j/n) for j in 0 to n-1, rounded to float32 where the reference rounds: the exponent, the
// power and its inverse.
func frequencies(theta float64, n int) []float32 {
	f := make([]float32, n)
	for j := range f {
		exponent := float32(2*j) / float32(2*n)
		f[j] = 1 / float32(math.Pow(theta, float64(exponent)))
	}
	return f
}

func cosSin(position int, frequency float32) (cos, sin float32) {
	s, c := math.Sincos(float64(float32(position) * frequency))
	return float32(c), float32(s)
}
