package qwen25vl

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/fixture"
	"mixr/runtime/models"
)

func TestPositionsByHand(t *testing.T) {
	c := nanoConfig(t)
	const text = 100
	image := c.ImageTokenID
	for _, tc := range []struct {
		name    string
		ids     []int
		grids   []Grid
		t, h, w []int
		next    int
	}{
		{"text only", []int{text, text, text}, nil, []int{0, 1, 2}, []int{0, 1, 2}, []int{0, 1, 2}, 3},
		{
			"2 by 3 merged tokens", []int{text, text, image, image, image, image, image, image, text}, []Grid{{4, 6}},
			[]int{0, 1, 2, 2, 2, 2, 2, 2, 5}, []int{0, 1, 2, 2, 2, 3, 3, 3, 5}, []int{0, 1, 2, 3, 4, 2, 3, 4, 5}, 6,
		},
		{
			"image last: completions start after its longer side", []int{text, image, image, image}, []Grid{{6, 2}},
			[]int{0, 1, 1, 1}, []int{0, 1, 2, 3}, []int{0, 1, 1, 1}, 4,
		},
		{
			"two images", []int{image, image, text, image, image, image, image}, []Grid{{2, 4}, {4, 4}},
			[]int{0, 0, 2, 3, 3, 3, 3}, []int{0, 0, 2, 3, 3, 4, 4}, []int{0, 1, 2, 3, 4, 3, 4}, 5,
		},
		{"images without text between", []int{image, image, image}, []Grid{{2, 2}, {2, 4}}, []int{0, 1, 1}, []int{0, 1, 1}, []int{0, 1, 2}, 3},
		{"empty", nil, nil, []int{}, []int{}, []int{}, 0},
	} {
		pos, next, err := c.Positions(tc.ids, stillImages(tc.grids...))
		if want := [3][]int{tc.t, tc.h, tc.w}; err != nil || next != tc.next || !reflect.DeepEqual(pos, want) {
			t.Errorf("%s:\n got %v, next %d, %v\nwant %v, next %d", tc.name, pos, next, err, want, tc.next)
		}
	}
	for want, tc := range map[string]struct {
		ids      []int
		pictures []*models.Picture
	}{
		"token 1 is an image token beyond the 0 pictures": {[]int{text, image}, nil},
		"token 1 is a video token beyond the 0 pictures":  {[]int{text, c.VideoTokenID}, nil},
		"picture 0 has 1 tokens from token 1 on":          {[]int{text, image, text, image}, stillImages(Grid{4, 2})},
		"tokens for 1":                                    {[]int{text, image}, stillImages(Grid{2, 2}, Grid{2, 2})},
		"want 1, each a video token":                      {[]int{text, image}, []*models.Picture{video(2, 1, 2, 2)}},
		"want 2, each an image token":                     {[]int{text, c.VideoTokenID}, stillImages(Grid{2, 4})},
		"video of 0 frames per second":                    {[]int{text, c.VideoTokenID}, []*models.Picture{video(0, 1, 2, 2)}},
	} {
		if _, _, err := c.Positions(tc.ids, tc.pictures); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got error %v, want one with %q", tc.ids, err, want)
		}
	}
}

// TestPositionsRederived states the rule in the reference's own terms, segment by segment: every segment starts one
// after the largest position before it.
func TestPositionsRederived(t *testing.T) {
	c := nanoConfig(t)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var ids []int
		var grids []Grid
		var want [3][]int
		start := func() int {
			largest := -1
			for _, axis := range want {
				for _, p := range axis {
					largest = max(largest, p)
				}
			}
			return largest + 1
		}
		for range rng.IntN(4) {
			s := start()
			for i := range rng.IntN(5) {
				ids = append(ids, 100)
				for axis := range want {
					want[axis] = append(want[axis], s+i)
				}
			}
			g := Grid{2 + 2*rng.IntN(4), 2 + 2*rng.IntN(4)}
			grids, s = append(grids, g), start()
			for i := range g.Merged() {
				ids = append(ids, c.ImageTokenID)
				for axis, offset := range [3]int{0, i / (g.W / 2), i % (g.W / 2)} {
					want[axis] = append(want[axis], s+offset)
				}
			}
		}
		got, next, err := c.Positions(ids, stillImages(grids...))
		if err != nil || next != start() {
			t.Fatalf("%v: next %d, want %d, %v", grids, next, start(), err)
		}
		for axis := range want {
			if !slices.Equal(got[axis], want[axis]) {
				t.Fatalf("%v, axis %d: got %v, want %v", grids, axis, got[axis], want[axis])
			}
		}
	}
}

// TestPositions: exactly those of transformers' get_rope_index for prompts of text, images and videos (bench/positions_fixture.py).
func TestPositions(t *testing.T) {
	c := nanoConfig(t)
	for n, row := range fixture.Rows(t, "positions.json") {
		var segments [][]float64 // [text tokens], [h, w] of an image, [t, h, w, fps] of a video
		var want [3][]int
		var next int
		row.Scan(t, &c.Vision.TokensPerSecond, &segments, &want, &next)
		var ids []int
		var pictures []*models.Picture
		for _, s := range segments {
			token, tokens := 100, int(s[0])
			switch len(s) {
			case 2:
				token, pictures = c.ImageTokenID, append(pictures, stillImages(Grid{int(s[0]), int(s[1])})...)
				tokens = pictures[len(pictures)-1].Tokens
			case 4:
				token, pictures = c.VideoTokenID, append(pictures, video(s[3], int(s[0]), int(s[1]), int(s[2])))
				tokens = pictures[len(pictures)-1].Tokens
			}
			ids = append(ids, slices.Repeat([]int{token}, tokens)...)
		}
		p, err := c.Place(ids, pictures)
		fixture.Check(t, err)
		if !reflect.DeepEqual(p.Pos, want) || p.Next != next {
			t.Errorf("prompt %d, %v:\n got %v, next %d\nwant %v, next %d", n, segments, p.Pos, p.Next, want, next)
		}
	}
}

func TestFeatureRows(t *testing.T) {
	c := nanoConfig(t)
	i, v := c.ImageTokenID, c.VideoTokenID
	if got := c.featureRows([]int{7, i, i, 8, v, 9, i}); !slices.Equal(got, []int{-1, 0, 1, -1, 2, -1, 3}) {
		t.Errorf("got %v", got)
	}
}

// TestTextRope: each frequency turns with the axis of its section, and equal positions give the plain rotary table.
func TestTextRope(t *testing.T) {
	c := nanoConfig(t) // sections 4, 6, 6 of 16 frequencies, theta 10000
	pos := [3][]int{{0, 5, 400}, {0, 7, 401}, {0, 11, 402}}
	cos, sin := c.Decoder().Tables(pos)
	if len(cos) != 3*16 || len(sin) != 3*16 {
		t.Fatalf("got %d and %d numbers, want 48", len(cos), len(sin))
	}
	for token := range 3 {
		for j := range 16 {
			axis := 0
			if j >= 4 {
				axis = 1
			}
			if j >= 10 {
				axis = 2
			}
			angle := float64(pos[axis][token]) * math.Pow(10000, -float64(j)/16)
			// A product in float32 is off by up to half a unit of its last place: 400 * 2^-24.
			if d := math.Hypot(float64(cos[token*16+j])-math.Cos(angle), float64(sin[token*16+j])-math.Sin(angle)); d > 1e-4 {
				t.Errorf("token %d, frequency %d: off by %g", token, j, d)
			}
		}
	}
	same := []int{3, 4}
	cos, _ = c.Decoder().Tables([3][]int{same, same, same})
	if got, want := cos[16], float32(math.Cos(4)); got != want {
		t.Errorf("cos of position 4, frequency 1: got %g, want %g", got, want)
	}
}
