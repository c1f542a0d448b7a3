package qwen25vl

import (
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
)

// Grid is the size of one resized image, or of one step of a video, in patches. Both sides are positive and even.
type Grid struct{ H, W int }

// Patches is the number of patches, P.
func (g Grid) Patches() int { return g.H * g.W }

// Merged is the number of merged visual tokens, M: image tokens in the prompt.
func (g Grid) Merged() int { return g.H * g.W / MergeUnit }

// Layout says how P patches are laid out in W groups of S slots, within each of which the patches attend to each
// other. Groups that hold fewer than S patches end in padding slots.
type Layout struct {
	Groups, Slots int       // W, S
	Index         []int64   // [W*S] the patch in each slot; 0 in padding slots, whose results are not read
	Inverse       []int64   // [P] the slot of each patch; Index[Inverse[p]] = p
	Mask          []float32 // [W*S] 0, or nn.Hidden in padding slots: what attention adds to the scores of a key
}

// VisionFeed is what the vision graph needs to know about the shapes of the images in one feed, beside their pixels.
// Patches are in the order of Picture.Pixels, image after image, all images in one sequence of P. A step of a video counts as an image.
type VisionFeed struct {
	Cos, Sin []float32 // [P, E/2] rotary tables of the vision heads
	Pos      []int64   // [P] the row of each patch in them: 0 to P-1
	Window   Layout    // groups are attention windows of window_size by window_size pixels, cut at the image's border
	Full     Layout    // groups are images
}

// VisionFeed lays out images of the given grids. It needs at least one image.
func (c *Config) VisionFeed(grids []Grid) *VisionFeed {
	f := &VisionFeed{
		Window: newLayout(c.Vision.windows(grids)),
		Full:   newLayout(wholeImages(grids)),
	}
	f.Cos, f.Sin = c.Vision.rope(grids)
	f.Pos = make([]int64, len(f.Full.Inverse))
	for p := range f.Pos {
		f.Pos[p] = int64(p)
	}
	return f
}

// wholeImages returns the patches of each image.
func wholeImages(grids []Grid) (groups [][]int64) {
	first := int64(0)
	for _, g := range grids {
		group := make([]int64, g.Patches())
		for i := range group {
			group[i] = first + int64(i)
		}
		groups = append(groups, group)
		first += int64(g.Patches())
	}
	return groups
}

// windows returns the patches of each attention window (Hugging Face: get_window_index). The image's merged tokens
// are tiled by windows from the top left corner; windows at the right and lower border are cut. Within a window merged
// tokens are in raster order, and the four patches of a merged token stay together.
func (v *VisionConfig) windows(grids []Grid) (groups [][]int64) {
	first, side := 0, v.windowUnits()
	for _, g := range grids {
		rows, columns := g.H/MergeSize, g.W/MergeSize
		for top := 0; top < rows; top += side {
			for left := 0; left < columns; left += side {
				var group []int64
				for r := top; r < min(top+side, rows); r++ {
					for c := left; c < min(left+side, columns); c++ {
						unit := first + (r*columns+c)*MergeUnit
						for p := range MergeUnit {
							group = append(group, int64(unit+p))
						}
					}
				}
				groups = append(groups, group)
			}
		}
		first += g.Patches()
	}
	return groups
}

func newLayout(groups [][]int64) Layout {
	l := Layout{Groups: len(groups)}
	patches := 0
	for _, group := range groups {
		l.Slots = max(l.Slots, len(group))
		patches += len(group)
	}
	l.Index = make([]int64, l.Groups*l.Slots)
	l.Mask = make([]float32, l.Groups*l.Slots)
	l.Inverse = make([]int64, patches)
	for w, group := range groups {
		for s := range l.Slots {
			slot := w*l.Slots + s
			if s >= len(group) {
				l.Mask[slot] = nn.Hidden
				continue
			}
			l.Index[slot] = group[s]
			l.Inverse[group[s]] = int64(slot)
		}
	}
	return l
}

// visionTheta is the rotary base of the vision heads; it is no field of vision_config (Hugging Face:
// Qwen2_5_VisionRotaryEmbedding).
const visionTheta = 10000

// rope returns cos and sin, each [P, E/2]: the first E/4 frequencies turn with the patch's row, the other E/4, the
// same frequencies again, with its column.
func (v *VisionConfig) rope(grids []Grid) (cos, sin []float32) {
	frequency := decoder.Frequencies(visionTheta, v.HeadDim()/4)
	for _, g := range grids {
		for p := range g.Patches() {
			row, column := g.patch(p)
			for _, position := range [...]int{row, column} {
				for _, f := range frequency {
					c, s := decoder.Angle(position, f)
					cos, sin = append(cos, c), append(sin, s)
				}
			}
		}
	}
	return cos, sin
}

// patch returns row and column of patch p in the order that patches have everywhere: merged tokens in raster order,
// and the patches of each merged token in raster order within it.
func (g Grid) patch(p int) (row, column int) {
	unit, within := p/MergeUnit, p%MergeUnit
	columns := g.W / MergeSize
	return unit/columns*MergeSize + within/MergeSize, unit%columns*MergeSize + within%MergeSize
}
