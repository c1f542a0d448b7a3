package qwen25vl

import (
	"math"
	"slices"
	"testing"

	"mixr/runtime/nn"
)

// TestWindowsByHand: an image of 10 by 14 patches is 5 by 7 merged tokens: windows of 4 by 4, 4 by 3, 1 by 4 and 1 by 3.
func TestWindowsByHand(t *testing.T) {
	c := nanoConfig(t)
	groups := c.Vision.windows([]Grid{{10, 14}})
	units := [][]int64{
		{0, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 17, 21, 22, 23, 24},
		{4, 5, 6, 11, 12, 13, 18, 19, 20, 25, 26, 27},
		{28, 29, 30, 31},
		{32, 33, 34},
	}
	if len(groups) != len(units) {
		t.Fatalf("got %d windows, want %d", len(groups), len(units))
	}
	for w, want := range units {
		var got []int64
		for i, p := range groups[w] {
			if i%MergeUnit == 0 {
				got = append(got, p/MergeUnit)
			}
			if p != got[len(got)-1]*MergeUnit+int64(i%MergeUnit) {
				t.Errorf("window %d: patch %d at place %d breaks up a merged token", w, p, i)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("window %d: got merged tokens %v, want %v", w, got, want)
		}
	}
}

// TestVisionFeed: every patch has one slot, windows are what 112 by 112 pixels of the same image cover, the rest is
// padding.
func TestVisionFeed(t *testing.T) {
	c := nanoConfig(t)
	for _, grids := range [][]Grid{{{2, 2}}, {{8, 8}}, {{16, 8}}, {{10, 14}, {2, 30}, {8, 8}}, {{18, 18}, {2, 2}}} {
		f := c.VisionFeed(grids)
		type place struct{ image, row, column int }
		var places []place
		for image, g := range grids {
			for p := range g.Patches() {
				row, column := g.patch(p)
				places = append(places, place{image, row, column})
			}
		}
		window := func(a place) place { return place{a.image, a.row / 8, a.column / 8} } // 112 / 14 patches
		whole := func(a place) place { return place{image: a.image} }
		checkLayout(t, grids, f.Window, len(places), func(a, b int64) bool { return window(places[a]) == window(places[b]) })
		checkLayout(t, grids, f.Full, len(places), func(a, b int64) bool { return whole(places[a]) == whole(places[b]) })
		if f.Full.Groups != len(grids) {
			t.Errorf("%v: full attention in %d groups, want one an image", grids, f.Full.Groups)
		}
		checkVisionRope(t, c, f, grids)
	}
}

// checkLayout compares who shares a group with who should.
func checkLayout(t *testing.T, grids []Grid, l Layout, patches int, together func(a, b int64) bool) {
	t.Helper()
	if len(l.Index) != l.Groups*l.Slots || len(l.Mask) != len(l.Index) || len(l.Inverse) != patches {
		t.Fatalf("%v: %d groups of %d slots, %d indices, %d masks, %d inverses of %d patches",
			grids, l.Groups, l.Slots, len(l.Index), len(l.Mask), len(l.Inverse), patches)
	}
	visible := 0
	for _, m := range l.Mask {
		if m == 0 {
			visible++
		} else if m != nn.Hidden {
			t.Fatalf("%v: mask %g", grids, m)
		}
	}
	if visible != patches {
		t.Errorf("%v: %d visible slots for %d patches", grids, visible, patches)
	}
	for p, slot := range l.Inverse {
		if l.Index[slot] != int64(p) || l.Mask[slot] != 0 {
			t.Errorf("%v: patch %d is said to be in slot %d, which has patch %d, mask %g", grids, p, slot, l.Index[slot], l.Mask[slot])
		}
		for q, other := range l.Inverse {
			same := int(slot)/l.Slots == int(other)/l.Slots
			if same != together(int64(p), int64(q)) {
				t.Fatalf("%v: patches %d and %d share a group: %t", grids, p, q, same)
			}
		}
	}
}

func checkVisionRope(t *testing.T, c *Config, f *VisionFeed, grids []Grid) {
	t.Helper()
	half := c.Vision.HeadDim() / 2
	patch := 0
	for _, g := range grids {
		seen := map[[2]int]bool{}
		for p := range g.Patches() {
			row, column := g.patch(p)
			seen[[2]int{row, column}] = true
			for j := range half {
				position := row
				if j >= half/2 {
					position = column
				}
				angle := float64(position) * math.Pow(10000, -float64(j%(half/2))/float64(half/2))
				i := patch*half + j
				if d := math.Hypot(float64(f.Cos[i])-math.Cos(angle), float64(f.Sin[i])-math.Sin(angle)); d > 1e-5 {
					t.Fatalf("%v: patch %d, frequency %d: off by %g", grids, patch, j, d)
				}
			}
			if f.Pos[patch] != int64(patch) {
				t.Fatalf("Pos[%d] is %d", patch, f.Pos[patch])
			}
			patch++
		}
		if len(seen) != g.Patches() {
			t.Errorf("%v: %d places for %d patches", g, len(seen), g.Patches())
		}
	}
	if len(f.Cos) != patch*half || len(f.Sin) != len(f.Cos) || len(f.Pos) != patch {
		t.Errorf("%v: %d cosines, %d sines, %d positions for %d patches", grids, len(f.Cos), len(f.Sin), len(f.Pos), patch)
	}
}

// TestPatchOrder: the first patches of a 4 by 6 grid, merged token by merged token.
func TestPatchOrder(t *testing.T) {
	g := Grid{4, 6}
	want := [][2]int{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {0, 4}, {0, 5}, {1, 4}, {1, 5}, {2, 0}, {2, 1}, {3, 0}, {3, 1}}
	for p, w := range want {
		if row, column := g.patch(p); row != w[0] || column != w[1] {
			t.Errorf("patch %d: got row %d, column %d, want %v", p, row, column, w)
		}
	}
}
