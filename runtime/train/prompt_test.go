package train

import (
	"slices"
	"strings"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/reward"
)

// Several images and videos of a row reach the prompt in order, and boxes are measured in the first image.
func TestPicturesOfPrompt(t *testing.T) {
	w := newWorld(t)
	in := w.open("tiny.cue")
	r := w.prepared(in)
	render := func(ex data.Example) *prompt {
		p, err := r.lanes[0].prompter.render(ex)
		check(t, err)
		return p
	}
	boxes, other := in.Data.Train("grounding")[0], in.Data.Train("chart")[1]
	several, film := boxes, other
	several.Images = []string{boxes.Images[0], other.Images[0], boxes.Images[0]}
	film.Images, film.Video, film.FPS = nil, slices.Repeat(other.Images, 5), 4

	one, many := render(boxes), render(several)
	if one.frame != many.frame || one.frame == (reward.Frame{}) {
		t.Errorf("frame of one image %+v, of several %+v: want the same", one.frame, many.frame)
	}
	if n := len(many.pictures); n != 3 || !slices.Equal(many.pictures[0].Pixels, one.pictures[0].Pixels) ||
		!slices.Equal(many.pictures[2].Pixels, one.pictures[0].Pixels) || slices.Equal(many.pictures[1].Pixels, one.pictures[0].Pixels) {
		t.Errorf("got %d pictures, want the row's three in its order", n)
	}
	for name, p := range map[string]*prompt{"several": many, "video": render(film)} {
		want, rows := 0, 0
		for _, picture := range p.pictures {
			want += picture.Tokens
		}
		for _, row := range p.Feature {
			if row >= 0 {
				rows++
			}
		}
		if rows != want {
			t.Errorf("%s: %d places for %d visual tokens", name, rows, want)
		}
	}
	p := render(film)
	if c := p.pictures[0]; len(p.pictures) != 1 || !c.Video || c.FPS != 4 || c.Grid[0] != 3 || p.frame != (reward.Frame{}) {
		t.Errorf("got %d pictures, video %t at %g frames per second, grid %v, frame %+v", len(p.pictures), c.Video, c.FPS, c.Grid, p.frame)
	}
	text := r.in.Policy.Tokenizer.Decode(p.IDs, false)
	if !strings.Contains(text, "<|video_pad|>") || strings.Contains(text, "<|image_pad|>") {
		t.Errorf("the video stands as %q", text)
	}

	film.Video[3] = boxes.Images[0] + ".gone"
	if _, err := r.lanes[0].prompter.render(film); err == nil || !strings.Contains(err.Error(), film.ID) || !strings.Contains(err.Error(), ".gone") {
		t.Errorf("got error %v, want one with the example and the file", err)
	}
}
