package train

import (
	"mixr/runtime/compile"
	"mixr/runtime/nn"
)

// branches is what nn.Branches reads of one row: of examples that share nothing, each in a window with others or alone; or of one prompt
// with its completions, as packGroup lays them out, the prompt's P tokens first. Of these the first windows are the completions', the
// others the prompt's.
type branches struct {
	windows, places int       // W, Q
	index           []int64   // [W, Q]; places that are left over name token 0
	place, seat     []int64   // [T]; no seats without a stem
	stem            []int64   // [P]; nil where nothing is shared
	mask            []float32 // [W, 1, Q, P+Q]
}

// branch lays out a prompt of that many tokens, and completions of which so many tokens are fed.
func branch(prompt int, fed []int) *branches {
	longest, tokens := 0, prompt
	for _, n := range fed {
		longest, tokens = max(longest, n), tokens+n
	}
	b := &branches{stem: make([]int64, prompt), place: make([]int64, tokens), seat: make([]int64, tokens)}
	b.places, b.windows = compile.Window(prompt, longest, len(fed))
	b.index = make([]int64, b.windows*b.places)
	keys := prompt + b.places
	b.mask = make([]float32, b.windows*b.places*keys)
	for i := range b.mask {
		b.mask[i] = nn.Hidden
	}
	// put lays token t at a place, from which it sees the first keys of the prompt and of its own window.
	put := func(t, place, ofPrompt, ofWindow int) {
		b.index[place], b.place[t] = int64(t), int64(place)
		row := b.mask[place*keys:][:keys]
		clear(row[:ofPrompt])
		clear(row[prompt:][:ofWindow])
	}
	at := prompt
	for w, n := range fed {
		for j := range n {
			put(at+j, w*b.places+j, prompt, j+1)
		}
		for place := w*b.places + n; place < (w+1)*b.places; place++ { // nobody reads what is left over, but it must see something
			b.mask[place*keys] = 0
		}
		at += n
	}
	for t := range prompt {
		b.stem[t], b.seat[t] = int64(t), int64(t)
		put(t, len(fed)*b.places+t, t+1, 0)
	}
	for place := len(fed)*b.places + prompt; place < b.windows*b.places; place++ {
		b.mask[place*keys] = 0
	}
	return b
}

func (b *branches) putTo(in *inputs) {
	supply(in, "index", b.index, b.windows, b.places)
	supply(in, "place", b.place, len(b.place))
	if b.stem != nil {
		supply(in, "stem", b.stem, len(b.stem))
		supply(in, "seat", b.seat, len(b.seat))
	}
	supply(in, "branch_mask", b.mask, b.windows, 1, b.places, len(b.stem)+b.places)
}
