package train

import (
	"slices"

	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
)

// rows is what the score and gradient graphs are fed: N rows of T tokens, of which C positions are scored.
type rows struct {
	n, t       int
	used       []int     // [N] tokens of a row before its padding
	ids        []int64   // [N, T]
	imageIndex []int64   // [N, T]
	isImage    []bool    // [N, T, 1]
	pos        []int64   // [N, T] row of the angle tables: n*T + t
	cos, sin   []float32 // [N*T, E/2]
	mask       []float32 // [N, 1, T, T]; nil where the graph reads branches
	branches   *branches // of the tokens of one row; nil where it reads a mask
	sel        []int64   // [C] flat positions whose next token is scored
	target     []int64   // [C]
	origin     []origin  // [N, T]
}

// origin says where a token of a row comes from: the sequence, its completion, -1 for the prompt, and the position in it. Padding looks
// like the first token of the first prompt.
type origin struct{ sequence, completion, position int }

// sequence is a prompt with completions that branch off its end.
type sequence struct {
	prompt      *prompt
	completions [][]int  // token ids, the end-of-turn token included where it was reached
	masks       [][]bool // tokens that count in the mean of their completion's log-ratio; nil where nothing reads it
	row         int      // or window, that it stands in, behind the ones of that row that are listed before it
	firstImage  int      // row of the features at which the prompt's images begin
	place       int      // among all sequences that the run trains on, in order: a step's, then the next one's
}

// length is how many tokens of a row the sequence takes. The last token of a completion is a target only, and so is not fed.
func (s *sequence) length() int {
	t := len(s.prompt.IDs)
	for _, y := range s.completions {
		t += max(len(y)-1, 0)
	}
	return t
}

// pack lays sequences into their rows. The completions of a prompt stand one after the other behind it; each sees the
// prompt and itself, and its positions go on from the prompt's: the log-probabilities are those of separate rows, while the
// prompt is computed once. Sequences of one row do not see each other, and each begins at position 0.
func pack(c *decoder.Config, sequences []sequence) *rows { return layRows(c, sequences, true) }

// packGroup is pack of one prompt with its completions for graphs that read branches, see compile.Program.Branches.
func packGroup(c *decoder.Config, s sequence) *rows {
	r := layRows(c, []sequence{s}, false)
	fed := make([]int, len(s.completions))
	for i, y := range s.completions {
		fed[i] = max(len(y)-1, 0)
	}
	r.branches = branch(len(s.prompt.IDs), fed)
	return r
}

// packExamples is pack for graphs that read examples in windows. The windows are the rows of pack; what is no attention meets all tokens
// in one row, without padding.
func packExamples(c *decoder.Config, sequences []sequence) *rows {
	r := layRows(c, sequences, true)
	half := len(r.cos) / (r.n * r.t)
	flat := &rows{n: 1, branches: &branches{windows: r.n, places: r.t, index: make([]int64, r.n*r.t), mask: r.mask}, target: r.target}
	for n, used := range r.used {
		for place := n * r.t; place < n*r.t+used; place++ {
			at := int64(len(flat.ids))
			flat.branches.index[place], flat.branches.place = at, append(flat.branches.place, int64(place))
			flat.ids, flat.pos, flat.origin = append(flat.ids, r.ids[place]), append(flat.pos, at), append(flat.origin, r.origin[place])
			flat.imageIndex, flat.isImage = append(flat.imageIndex, r.imageIndex[place]), append(flat.isImage, r.isImage[place])
			flat.cos, flat.sin = append(flat.cos, r.cos[place*half:][:half]...), append(flat.sin, r.sin[place*half:][:half]...)
		}
	}
	flat.t = len(flat.ids)
	flat.used = []int{flat.t}
	for _, place := range r.sel {
		flat.sel = append(flat.sel, flat.branches.index[place])
	}
	return flat
}

// pack lays out what the gradient of one unit reads.
func (m *model) pack(sequences []sequence) *rows {
	if m.program.Branches() {
		return packGroup(m.program.Model.Decoder(), sequences[0])
	}
	return packExamples(m.program.Model.Decoder(), sequences)
}

// layRows lays out all but branches, and the mask if it is wanted.
func layRows(c *decoder.Config, sequences []sequence, masked bool) *rows {
	r := &rows{}
	for _, s := range sequences {
		r.n = max(r.n, s.row+1)
	}
	r.used = make([]int, r.n)
	starts := make([]int, len(sequences)) // in its row
	for i, s := range sequences {
		starts[i] = r.used[s.row]
		r.used[s.row] += s.length()
	}
	r.t = slices.Max(r.used)
	r.ids = make([]int64, r.n*r.t)
	r.imageIndex = make([]int64, r.n*r.t)
	r.isImage = make([]bool, r.n*r.t)
	if masked {
		r.mask = slices.Repeat([]float32{nn.Hidden}, r.n*r.t*r.t)
	}
	var pos [3][]int
	for d := range pos {
		pos[d] = make([]int, r.n*r.t)
	}
	for i := range r.n * r.t {
		r.pos = append(r.pos, int64(i))
		r.origin = append(r.origin, origin{completion: -1})
	}
	for i, s := range sequences {
		r.put(s, i, starts[i], &pos)
	}
	for n, end := range r.used {
		for t := end; t < r.t && masked; t++ { // padding sees itself alone, so that its softmax is defined
			r.mask[(n*r.t+t)*r.t+t] = 0
		}
	}
	r.cos, r.sin = c.Tables(pos)
	return r
}

// put writes sequence i into its row, from the given place on.
func (r *rows) put(s sequence, i, start int, pos *[3][]int) {
	base, p := s.row*r.t, s.prompt
	visible := func(query, from, to int) { // key positions from..to-1 of this row
		if row := (base + query) * r.t; r.mask != nil {
			clear(r.mask[row+from : row+to])
		}
	}
	for t, id := range p.IDs {
		at := start + t
		r.ids[base+at], r.origin[base+at] = int64(id), origin{i, -1, t}
		if row := p.Feature[t]; row >= 0 {
			r.imageIndex[base+at], r.isImage[base+at] = int64(row+s.firstImage), true
		}
		for d := range pos {
			pos[d][base+at] = p.Pos[d][t]
		}
		visible(at, start, at+1)
	}
	behind := start + len(p.IDs) // the prompt
	at := behind
	for c, y := range s.completions {
		first := at
		for j, id := range y {
			from := at - 1 // the token before y[j]
			if j == 0 {
				from = behind - 1
			}
			r.sel = append(r.sel, int64(base+from))
			r.target = append(r.target, int64(id))
			if j == len(y)-1 {
				break
			}
			r.ids[base+at], r.origin[base+at] = int64(id), origin{i, c, j}
			for d := range pos {
				pos[d][base+at] = p.Next + j
			}
			visible(at, start, behind)
			visible(at, first, at+1)
			at++
		}
	}
}

// putTo lays out what the graphs of whole rows read.
func (r *rows) putTo(in *inputs) {
	half := len(r.cos) / (r.n * r.t)
	supply(in, "ids", r.ids, r.n, r.t)
	supply(in, "image_index", r.imageIndex, r.n, r.t)
	supply(in, "is_image", r.isImage, r.n, r.t, 1)
	supply(in, "pos", r.pos, r.n, r.t)
	supply(in, "cos", r.cos, r.n*r.t, half)
	supply(in, "sin", r.sin, r.n*r.t, half)
	if r.branches != nil {
		r.branches.putTo(in)
	} else {
		supply(in, "mask", r.mask, r.n, 1, r.t, r.t)
	}
}

// feedTo binds the rows to a prefill, score or gradient graph.
func (r *rows) feedTo(b *bound) {
	in := newInputs(b.engine)
	r.putTo(in)
	if len(r.sel) > 0 {
		supply(in, "select", r.sel, len(r.sel))
		supply(in, "target", r.target, len(r.target))
	}
	b.take(in)
}
