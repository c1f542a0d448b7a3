package reward

import (
	"fmt"

	"mixr/runtime/data"
)

// Space is the coordinate space in which a policy family writes boxes. A perfect box read in the wrong space scores
// 0.93 at 640x480 and 0.06 at 1920x1080 under a pixel cap, so the space is a type and toOriginal is the only conversion.
type Space string

// ResizedPixels are absolute pixels of the image after the family's resize rule (Qwen2.5-VL).
const ResizedPixels Space = "resized_pixels"

// spaceOf returns the space of a policy family.
func spaceOf(family string) (Space, error) {
	if family == "qwen25vl" {
		return ResizedPixels, nil
	}
	return "", fmt.Errorf("policy.family: coordinate space of %q is not known to the iou reward", family)
}

// toOriginal converts a box x1, y1, x2, y2 of the space to pixels of the stored image. The two axes scale differently.
func (s Space) toOriginal(b data.Box, f Frame) (data.Box, error) {
	if f.OriginalW <= 0 || f.OriginalH <= 0 || f.ResizedW <= 0 || f.ResizedH <= 0 {
		return b, fmt.Errorf("image frame: got %+v, want positive sizes", f)
	}
	sx := float64(f.OriginalW) / float64(f.ResizedW)
	sy := float64(f.OriginalH) / float64(f.ResizedH)
	return data.Box{b[0] * sx, b[1] * sy, b[2] * sx, b[3] * sy}, nil
}
