package main

import (
	"mixr/runtime/models"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
)

// tokens are the inputs of graphs over rows of tokens, and which of them the loss scores.
type tokens struct {
	feeds
	selected, target []int64 // [C]
}

// lay writes prompts into rows of one length, each with completions behind it that see the prompt and themselves: rows as the
// training loop packs them (train's rows.go), written again so that the two check each other. The last token of a completion is a
// target alone.
func lay(c *decoder.Config, prompts []*models.Prompt, completions [][][]int) *tokens {
	longest := 0
	for n, p := range prompts {
		t := len(p.IDs)
		for _, y := range completions[n] {
			t += len(y) - 1
		}
		longest = max(longest, t)
	}
	size := len(prompts) * longest
	ids, index, isImage := make([]int64, size), make([]int64, size), make([]bool, size)
	places, mask := make([]int64, size), make([]float32, size*longest)
	pos := [3][]int{make([]int, size), make([]int, size), make([]int, size)}
	for i := range mask {
		mask[i] = nn.Hidden
	}
	for i := range places {
		places[i] = int64(i)
		mask[i*longest+i%longest] = 0 // every token sees itself, padding too
	}
	out := &tokens{feeds: feeds{}}
	firstFeature := 0
	for n, p := range prompts {
		row, features := n*longest, 0
		for t, id := range p.IDs {
			ids[row+t] = int64(id)
			if f := p.Feature[t]; f >= 0 {
				index[row+t], isImage[row+t] = int64(firstFeature+f), true
				features++
			}
			for axis := range pos {
				pos[axis][row+t] = p.Pos[axis][t]
			}
			clear(mask[(row+t)*longest : (row+t)*longest+t])
		}
		firstFeature += features
		at := len(p.IDs)
		for _, y := range completions[n] {
			before, start := len(p.IDs)-1, at
			for j, id := range y {
				out.selected, out.target = append(out.selected, int64(row+before)), append(out.target, int64(id))
				if j == len(y)-1 {
					break
				}
				ids[row+at] = int64(id)
				for axis := range pos {
					pos[axis][row+at] = p.Next + j
				}
				clear(mask[(row+at)*longest : (row+at)*longest+len(p.IDs)])
				clear(mask[(row+at)*longest+start : (row+at)*longest+at])
				before, at = at, at+1
			}
		}
	}
	cos, sin := c.Tables(pos)
	n, half := len(prompts), c.HeadWidth/2
	out.set("ids", ids, n, longest)
	out.set("image_index", index, n, longest)
	out.set("is_image", isImage, n, longest, 1)
	out.set("pos", places, n, longest)
	out.set("cos", cos, size, half)
	out.set("sin", sin, size, half)
	out.set("mask", mask, n, 1, longest, longest)
	return out
}

// branch adds what a graph reads of one prompt and its completions by branches (nn.Branches). Windows are as long as the longest of
// them, the prompt's one stands first: train's are not, so that the two check each other.
func (t *tokens) branch(prompt int, completions [][]int) {
	places, total := prompt, prompt
	for _, y := range completions {
		places, total = max(places, len(y)-1), total+len(y)-1
	}
	windows, keys := 1+len(completions), prompt+places
	index, place, seat, stem := make([]int64, windows*places), make([]int64, total), make([]int64, total), make([]int64, prompt)
	mask := make([]float32, windows*places*keys)
	for i := range mask {
		mask[i] = nn.Hidden
	}
	at := 0
	for w := range windows {
		n := prompt
		if w > 0 {
			n = len(completions[w-1]) - 1
		}
		for j := range places {
			row := mask[(w*places+j)*keys:][:keys]
			switch {
			case j >= n:
				row[0] = 0
				continue
			case w == 0:
				clear(row[:j+1])
				stem[j], seat[j] = int64(j), int64(j)
			default:
				clear(row[:prompt+j+1])
			}
			index[w*places+j], place[at] = int64(at), int64(w*places+j)
			at++
		}
	}
	t.set("index", index, windows, places)
	t.set("place", place, total)
	t.set("stem", stem, prompt)
	t.set("seat", seat, total)
	t.set("branch_mask", mask, windows, 1, places, keys)
}
