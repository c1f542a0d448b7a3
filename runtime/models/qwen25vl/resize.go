package qwen25vl

import (
	"fmt"
	"math"
)

// maxAspect is the ratio of sides above which the reference refuses an image.
const maxAspect = 200

// SmartResize returns the size to which an image of width by height pixels is resized: both sides multiples of 28, as
// near as that allows to the original, the area within minPixels and maxPixels, the ratio of sides kept as far as the
// rounding allows (Hugging Face: smart_resize with factor 28). Halves round to even: a side of 70 becomes 56.
//
// Above maxPixels both sides are divided by sqrt(width*height/maxPixels) and rounded down; below minPixels they are
// multiplied by sqrt(minPixels/(width*height)) and rounded up. So is an image with a side of at most 14, whatever its area: that side
// rounds to 0, which is below minPixels. An image with a side ratio above 200 is an error.
func SmartResize(width, height, minPixels, maxPixels int) (w, h int, err error) {
	const factor = PatchSize * MergeSize
	switch {
	case width < 1 || height < 1:
		return 0, 0, fmt.Errorf("image of %d by %d pixels: both sides must be at least 1", width, height)
	case max(width, height) > maxAspect*min(width, height):
		return 0, 0, fmt.Errorf("image of %d by %d pixels: ratio of sides is above %d", width, height, maxAspect)
	case minPixels < 1 || minPixels > maxPixels || maxPixels < factor*factor:
		return 0, 0, fmt.Errorf("min_pixels %d, max_pixels %d: want 1 <= min_pixels <= max_pixels and max_pixels >= %d", minPixels, maxPixels, factor*factor)
	}
	round := func(side float64, f func(float64) float64) int { return int(f(side/factor)) * factor }
	fw, fh := float64(width), float64(height)
	w, h = round(fw, math.RoundToEven), round(fh, math.RoundToEven)
	switch {
	case w*h > maxPixels:
		beta := math.Sqrt(fw * fh / float64(maxPixels))
		w = max(factor, round(fw/beta, math.Floor))
		h = max(factor, round(fh/beta, math.Floor))
	case w*h < minPixels:
		beta := math.Sqrt(float64(minPixels) / (fw * fh))
		w = round(fw*beta, math.Ceil)
		h = round(fh*beta, math.Ceil)
	}
	return w, h, nil
}
