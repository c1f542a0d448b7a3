package reward

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

// grounding is the IoU reward: intersection over union of the written box with the gold box, both in pixels of the
// stored image with plain float extents (no +1), clipped to the image.
//
// One gold box: the first written box counts, and further ones are noted as boxes_extra. Several: the one-to-one
// assignment with the largest sum of IoU, divided by the larger number of boxes (Visual-RFT's normalisation). An
// explicit empty list is read, and worth 0. A box with x2 <= x1 or y2 <= y1, a wrong count of numbers or a value that is
// not finite is worth 0; corners are never swapped.
//
// The zero value of the fields below space is this rule.
//
// differs: VLM-R1's integer variant gives 0 for overlaps up to one pixel and does not check inverted boxes.
type grounding struct {
	space     Space
	order     cornerOrder
	overlap   string  // "" or iou, giou, diou
	all       bool    // every box counts against a single gold box, too
	divide    string  // "" or longer, precision, recall, f
	threshold float64 // overlaps below it are 0
	dynamic   bool    // the threshold is dynamicThreshold's
}

// newGrounding reads the options of the reward; family is the space of the policy's family.
func newGrounding(r *spec.IoU, family Space) (judge, error) {
	for _, o := range []struct {
		name, value string
		want        []string
	}{
		{"overlap", r.Overlap, []string{"iou", "giou", "diou"}},
		{"boxes", r.Boxes, []string{"first", "all"}},
		{"divide", r.Divide, []string{"longer", "precision", "recall", "f"}},
		{"schedule", r.Schedule, []string{"constant", "dynamic"}},
		{"order", r.Order, []string{"xyxy", "yxyx", "xywh"}},
	} {
		if o.value != "" && !slices.Contains(o.want, o.value) {
			return nil, fmt.Errorf("rewards.iou.%s: unknown value %q, want one of %s", o.name, o.value, strings.Join(o.want, ", "))
		}
	}
	space := Space(r.Space)
	if r.Space == "" || r.Space == "policy" {
		space = family
	}
	if space == "" {
		return nil, errors.New("rewards.iou: the policy's family writes boxes in no known coordinate space: say in rewards.iou.space which one " +
			"the prompt asks for, or take the grounding sources out of the mix")
	}
	if !space.known() {
		return nil, fmt.Errorf("rewards.iou.space: unknown space %q, want policy, original_pixels, resized_pixels, unit or thousandths", space)
	}
	return grounding{space, cornerOrder(r.Order), r.Overlap, r.Boxes == "all", r.Divide, r.Threshold, r.Schedule == "dynamic"}, nil
}

// dynamicThreshold is V-Triune's dynamic IoU (arXiv 2505.18129): loose while the policy is cold, tight in the end. progress is
// step / steps.
func dynamicThreshold(progress float64) float64 {
	switch {
	case progress <= 0.10:
		return 0.85
	case progress <= 0.25:
		return 0.95
	}
	return 0.99
}

func (grounding) checkGold(ex data.Example) error {
	if len(ex.Boxes) == 0 {
		return errors.New("no boxes")
	}
	if ex.ImageSize[0] <= 0 || ex.ImageSize[1] <= 0 {
		return fmt.Errorf("image size %v is not known", ex.ImageSize)
	}
	for i, b := range ex.Boxes {
		if !proper(b) {
			return fmt.Errorf("box %d: %v is not x1 < x2, y1 < y2", i, b)
		}
		if !proper(clip(b, ex.ImageSize)) {
			return fmt.Errorf("box %d: %v lies outside the image of %v pixels", i, b, ex.ImageSize)
		}
	}
	return nil
}

func (g grounding) score(ex data.Example, answer string, at moment) (verdict, error) {
	found, empty := scanBoxes(answer)
	if len(found) == 0 {
		if !empty {
			return verdict{note: "unparsed: no box"}, nil
		}
		return verdict{parsed: true}, nil
	}
	frame := at.frame
	if frame.OriginalW != ex.ImageSize[0] || frame.OriginalH != ex.ImageSize[1] {
		return verdict{}, fmt.Errorf("image frame %+v does not belong to an image of %v pixels", frame, ex.ImageSize)
	}
	boxes := make([]data.Box, len(found))
	v := verdict{}
	for i, f := range found {
		if !f.valid {
			continue // stays the empty box, which overlaps nothing
		}
		b, err := g.space.toOriginal(g.order.corners(f.xy), frame)
		if err != nil {
			return verdict{}, err
		}
		boxes[i] = clip(b, ex.ImageSize)
		v.parsed = true
	}
	if !v.parsed {
		v.note = "unparsed: no list of four numbers"
	}
	threshold := g.threshold
	if g.dynamic {
		threshold = dynamicThreshold(at.progress)
	}
	if len(ex.Boxes) > 1 || g.all {
		v.value = g.matched(boxes, ex.Boxes, ex.ImageSize, threshold)
		return v, nil
	}
	v.value = g.between(boxes[0], clip(ex.Boxes[0], ex.ImageSize), threshold)
	if len(boxes) > 1 && v.parsed {
		v.note = fmt.Sprintf("boxes_extra=%d", len(boxes)-1)
	}
	return v, nil
}

// last knows no such thing: boxes are found in the whole text.
func (grounding) last(string) (string, bool) { return "", false }

// proper reports a box with finite corners in order.
func proper(b data.Box) bool {
	for _, x := range b {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return b[0] < b[2] && b[1] < b[3]
}

// clip cuts a box to an image of size w, h; an improper box is returned as it is.
func clip(b data.Box, size [2]int) data.Box {
	if !proper(b) {
		return b
	}
	w, h := float64(size[0]), float64(size[1])
	return data.Box{min(max(b[0], 0), w), min(max(b[1], 0), h), min(max(b[2], 0), w), min(max(b[3], 0), h)}
}

// overlap is the intersection over union of two boxes in one coordinate space, 0 if either is improper.
func overlap(a, b data.Box) float64 {
	if !proper(a) || !proper(b) {
		return 0
	}
	w := min(a[2], b[2]) - max(a[0], b[0])
	h := min(a[3], b[3]) - max(a[1], b[1])
	if w <= 0 || h <= 0 {
		return 0
	}
	// The conversions keep products from being fused into the sums, which would change bits from processor to processor.
	both := float64(w * h)
	union := float64((a[2]-a[0])*(a[3]-a[1])) + float64((b[2]-b[0])*(b[3]-b[1])) - both
	return min(1, both/union)
}

// between is the overlap of two boxes by the experiment's measure, in [0, 1]; 0 below the threshold or if either is improper.
func (g grounding) between(a, b data.Box, threshold float64) float64 {
	x := 0.0
	switch g.overlap {
	case "giou":
		x = generalised(a, b)
	case "diou":
		x = distance(a, b)
	default:
		x = overlap(a, b)
	}
	if x < threshold {
		return 0
	}
	return x
}

// generalised is (1 + GIoU) / 2 with GIoU = IoU - (|C| - |A u B|) / |C| for C, the smallest box around both (arXiv 1902.09630,
// algorithm 1); 0 if either box is improper.
func generalised(a, b data.Box) float64 {
	if !proper(a) || !proper(b) {
		return 0
	}
	both := float64(max(0, min(a[2], b[2])-max(a[0], b[0])) * max(0, min(a[3], b[3])-max(a[1], b[1])))
	union := float64((a[2]-a[0])*(a[3]-a[1])) + float64((b[2]-b[0])*(b[3]-b[1])) - both
	around := float64((max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1])))
	return half(both/union - (around-union)/around)
}

// distance is (1 + DIoU) / 2 with DIoU = IoU - d^2 / c^2 for d, the distance of the centres, and c, the diagonal of the smallest box
// around both (arXiv 1911.08287, equation 7); 0 if either box is improper.
func distance(a, b data.Box) float64 {
	if !proper(a) || !proper(b) {
		return 0
	}
	dx, dy := (a[0]+a[2]-b[0]-b[2])/2, (a[1]+a[3]-b[1]-b[3])/2
	cx, cy := max(a[2], b[2])-min(a[0], b[0]), max(a[3], b[3])-min(a[1], b[1])
	return half(overlap(a, b) - (float64(dx*dx)+float64(dy*dy))/(float64(cx*cx)+float64(cy*cy)))
}

// half maps -1 to 1 onto 0 to 1; what is not a number, as of boxes whose area overflows, is worth 0.
func half(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return min(1, max(0, (1+x)/2))
}

// matched is the multi-box score.
func (g grounding) matched(boxes, golds []data.Box, size [2]int, threshold float64) float64 {
	gain := make([][]float64, len(golds))
	for i, gold := range golds {
		gain[i] = make([]float64, len(boxes))
		for j, b := range boxes {
			gain[i][j] = g.between(b, clip(gold, size), threshold)
		}
	}
	sum, n, m := assign(gain), float64(len(boxes)), float64(len(golds))
	switch g.divide {
	case "precision":
		return sum / n
	case "recall":
		return sum / m
	case "f":
		return 2 * sum / (n + m)
	}
	return sum / max(m, n)
}
