package qwen25vl

import (
	"fmt"

	"mixr/runtime/models"
)

// Positions returns the M-RoPE positions of one prompt on the axes t, h and w, each [T], and the position that follows
// on all three (Hugging Face: get_rope_index). Text advances the three axes together. An image stands still on t and
// is a grid of merged visual tokens on h and w, all counted from where the text stopped; what follows continues after
// its longer side.
//
// With text of 2 tokens, an image of 2 by 3 merged tokens and one more token of text:
//
//	t: 0 1  2 2 2 2 2 2  5
//	h: 0 1  2 2 2 3 3 3  5
//	w: 0 1  2 3 4 2 3 4  5    next = 6
//
// A video is such a grid for each of its steps, which stand on t as far apart as their time and tokens_per_second say; see
// stepTime. With 4 between steps, 2 steps of 1 by 2 merged tokens and one token of text:
//
//	t: 0 0 4 4  2
//	h: 0 0 0 0  2
//	w: 0 1 0 1  2    next = 3
//
// What follows a video, the completion included, does not wait for its last step: token i of a completion is at next + i on every
// axis, where text after the prompt would stand. That is transformers 5 (measured with generate of 5.24); earlier ones, as the
// authors' code, let the text after a video start after its last step.
//
// ids hold exactly the tokens of each of pictures, in order, image tokens for an image and video tokens for a video; anything else
// is an error.
func (c *Config) Positions(ids []int, pictures []*models.Picture) (pos [3][]int, next int, err error) {
	for axis := range pos {
		pos[axis] = make([]int, 0, len(ids))
	}
	add := func(t, h, w int) {
		pos[0], pos[1], pos[2] = append(pos[0], t), append(pos[1], h), append(pos[2], w)
	}
	seen := 0 // number of pictures passed; next is where the next token stands
	for i := 0; i < len(ids); {
		if ids[i] != c.ImageTokenID && ids[i] != c.VideoTokenID {
			add(next, next, next)
			next++
			i++
			continue
		}
		if seen == len(pictures) {
			return pos, 0, fmt.Errorf("qwen25vl: token %d is %s beyond the %d pictures given", i, c.describe(ids[i]), len(pictures))
		}
		p := pictures[seen]
		if p.Video && !(p.FPS > 0) {
			return pos, 0, fmt.Errorf("qwen25vl: picture %d is a video of %g frames per second, want > 0", seen, p.FPS)
		}
		steps, rows, columns := p.Grid[0], p.Grid[1]/MergeSize, p.Grid[2]/MergeSize
		end := i
		for end < len(ids) && end < i+steps*rows*columns && ids[end] == c.pad(p) {
			end++
		}
		if end != i+steps*rows*columns {
			return pos, 0, fmt.Errorf("qwen25vl: picture %d has %d tokens from token %d on, which is %s; want %d, each %s, for a grid of %v patches",
				seen, end-i, i, c.describe(ids[i]), steps*rows*columns, c.describe(c.pad(p)), p.Grid)
		}
		for t := range steps {
			for h := range rows {
				for w := range columns {
					add(next+c.stepTime(p, t), next+h, next+w)
				}
			}
		}
		next += max(rows, columns)
		i, seen = end, seen+1
	}
	if seen != len(pictures) {
		return pos, 0, fmt.Errorf("qwen25vl: %d pictures given, but the prompt has tokens for %d", len(pictures), seen)
	}
	return pos, next, nil
}

// stepTime is how far step t of a picture is from its first on the t axis: t times tokens_per_second times the seconds of a step, in
// the reference's float32 and cut to an integer. An image has one step.
func (c *Config) stepTime(p *models.Picture, t int) int {
	if t == 0 {
		return 0
	}
	interval := float32(c.Vision.TokensPerSecond) * float32(TemporalPatch/p.FPS)
	return int(float32(t) * interval)
}

// pad is the token that a picture's features stand at.
func (c *Config) pad(p *models.Picture) int {
	if p.Video {
		return c.VideoTokenID
	}
	return c.ImageTokenID
}

// describe names one of the two tokens of pictures.
func (c *Config) describe(id int) string {
	if id == c.VideoTokenID {
		return "a video token"
	}
	return "an image token"
}

// featureRows tells for each of ids which row of the visual features [M, D] stands there, -1 for text. Rows are used in order, so the
// features of a prompt's pictures follow each other in its order.
func (c *Config) featureRows(ids []int) []int {
	rows, next := make([]int, len(ids)), 0
	for i, id := range ids {
		rows[i] = -1
		if id == c.ImageTokenID || id == c.VideoTokenID {
			rows[i] = next
			next++
		}
	}
	return rows
}
