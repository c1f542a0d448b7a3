package reward

import (
	"fmt"

	"mixr/runtime/data"
)

// Space is the coordinate space in which a policy writes boxes. A perfect box read in the wrong space scores
// 0.93 at 640x480 and 0.06 at 1920x1080 under a pixel cap, so the space is a type and toOriginal is the only conversion. It is never
// guessed from the numbers: [0, 0, 1, 1] is a box in all four.
type Space string

const (
	// OriginalPixels are pixels of the stored image, which gold boxes are in.
	OriginalPixels Space = "original_pixels"
	// ResizedPixels are absolute pixels of the image after the family's resize rule (Qwen2.5-VL).
	ResizedPixels Space = "resized_pixels"
	// Unit is 0 to 1 along each side of the image.
	Unit Space = "unit"
	// Thousandths are 0 to 1000 along each side of the image (InternVL, Qwen2-VL, Qwen3-VL).
	Thousandths Space = "thousandths"
)

// SpaceOf is the space in which a policy family writes boxes; "" for one that has no such convention.
func SpaceOf(family string) Space {
	return map[string]Space{"qwen25vl": ResizedPixels, "internvl": Thousandths}[family]
}

// known reports one of the four spaces.
func (s Space) known() bool {
	return s == OriginalPixels || s == ResizedPixels || s == Unit || s == Thousandths
}

// toOriginal converts a box x1, y1, x2, y2 of the space to pixels of the stored image. The two axes scale differently.
func (s Space) toOriginal(b data.Box, f Frame) (data.Box, error) {
	if f.OriginalW <= 0 || f.OriginalH <= 0 || f.ResizedW <= 0 || f.ResizedH <= 0 {
		return b, fmt.Errorf("image frame: got %+v, want positive sizes", f)
	}
	w, h := float64(f.ResizedW), float64(f.ResizedH)
	switch s {
	case OriginalPixels:
		return b, nil
	case Unit:
		w, h = 1, 1
	case Thousandths:
		w, h = 1000, 1000
	}
	sx, sy := float64(f.OriginalW)/w, float64(f.OriginalH)/h
	return data.Box{b[0] * sx, b[1] * sy, b[2] * sx, b[3] * sy}, nil
}

// cornerOrder is the order of a box's four numbers: "" or xyxy, yxyx, or xywh, a corner with width and height.
type cornerOrder string

// corners puts the numbers into the order x1, y1, x2, y2.
func (o cornerOrder) corners(b data.Box) data.Box {
	switch o {
	case "yxyx":
		return data.Box{b[1], b[0], b[3], b[2]}
	case "xywh":
		return data.Box{b[0], b[1], b[0] + b[2], b[1] + b[3]}
	}
	return b
}
