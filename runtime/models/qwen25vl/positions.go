package qwen25vl

import "fmt"

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

// featureRows tells for each of ids which row of the visual features [M, D] stands there, -1 for text. Rows are used in order, so the
// features of a prompt's images follow each other in its order.
func (c *Config) featureRows(ids []int) []int {
	rows, next := make([]int, len(ids)), 0
	for i, id := range ids {
		rows[i] = -1
		if id == c.ImageTokenID {
			rows[i] = next
			next++
		}
	}
	return rows
}
