package reward

import (
	"errors"
	"fmt"
	"math"

	"mixr/runtime/data"
)

// grounding is the IoU reward: intersection over union of the written box with the gold box, both in pixels of the
// stored image with plain float extents (no +1), clipped to the image.
//
// One gold box: the first written box counts, and further ones are noted as boxes_extra. Several: the one-to-one
// assignment with the largest sum of IoU, divided by the larger number of boxes (Visual-RFT's normalisation). An
// explicit empty list is read, and worth 0. A box with x2 <= x1 or y2 <= y1, a wrong count of numbers or a value that is
// not finite is worth 0; corners are never swapped.
//
// differs: VLM-R1's integer variant gives 0 for overlaps up to one pixel and does not check inverted boxes.
type grounding struct{ space Space }

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

func (g grounding) score(ex data.Example, answer string, frame Frame) (verdict, error) {
	found, empty := scanBoxes(answer)
	if len(found) == 0 {
		if !empty {
			return verdict{note: "unparsed: no box"}, nil
		}
		return verdict{parsed: true}, nil
	}
	if frame.OriginalW != ex.ImageSize[0] || frame.OriginalH != ex.ImageSize[1] {
		return verdict{}, fmt.Errorf("image frame %+v does not belong to an image of %v pixels", frame, ex.ImageSize)
	}
	boxes := make([]data.Box, len(found))
	v := verdict{}
	for i, f := range found {
		if !f.valid {
			continue // stays the empty box, which overlaps nothing
		}
		b, err := g.space.toOriginal(f.xy, frame)
		if err != nil {
			return verdict{}, err
		}
		boxes[i] = clip(b, ex.ImageSize)
		v.parsed = true
	}
	if !v.parsed {
		v.note = "unparsed: no list of four numbers"
	}
	if len(ex.Boxes) > 1 {
		v.value = matched(boxes, ex.Boxes, ex.ImageSize)
		return v, nil
	}
	v.value = overlap(boxes[0], clip(ex.Boxes[0], ex.ImageSize))
	if len(boxes) > 1 && v.parsed {
		v.note = fmt.Sprintf("boxes_extra=%d", len(boxes)-1)
	}
	return v, nil
}

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

// matched is the multi-box score.
func matched(boxes, golds []data.Box, size [2]int) float64 {
	gain := make([][]float64, len(golds))
	for i, gold := range golds {
		gain[i] = make([]float64, len(boxes))
		for j, b := range boxes {
			gain[i][j] = overlap(b, clip(gold, size))
		}
	}
	return assign(gain) / float64(max(len(golds), len(boxes)))
}
