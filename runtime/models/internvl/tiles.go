package internvl

import (
	"fmt"
	"math"

	"mixr/runtime/images"
	"mixr/runtime/models"
)

// ImageNet's mean and standard deviation of the RGB channels at 0 to 1, image_mean and image_std of every InternVL.
var (
	imageMean = [channels]float32{0.485, 0.456, 0.406}
	imageStd  = [channels]float32{0.229, 0.224, 0.225}
	levels    = models.Normalised(imageMean, imageStd)
)

// Picture cuts an image in tiles: it is stretched to the grid of tiles whose ratio of sides is nearest to its own, and where that is
// more than one tile, a thumbnail of the whole follows (Hugging Face: GotOcr2ImageProcessor with Pillow and crop_to_patches). The
// frames of a video are one tile each (InternVLVideoProcessor). Pixels are [tiles, P, 3, 14, 14]: patches in raster order; the numbers
// equal the reference's to the last bit for the same decoded pixels.
//
// The limits bound the number of tiles before the thumbnail: at most MaxPixels / 448², but one at least and not more than the
// checkpoint's own maximum; at least MinPixels / 448², rounded up, as far as the maximum allows. They do not bound the area below one
// tile, since the tower reads nothing smaller.
//
// Width and Height are those of the grid in pixels. Boxes of an InternVL are in thousandths of the original picture, so neither matters
// to them.
func (c *Config) Picture(frames []images.RGB, limits models.Limits) (*models.Picture, error) {
	size := c.Vision.ImageSize
	if limits.MaxPixels < 1 || limits.MinPixels > limits.MaxPixels {
		return nil, fmt.Errorf("internvl: min_pixels %d, max_pixels %d: want min_pixels <= max_pixels and max_pixels >= 1",
			limits.MinPixels, limits.MaxPixels)
	}
	if len(frames) == 0 {
		return nil, fmt.Errorf("internvl: a picture without frames")
	}
	for _, f := range frames {
		if f.W < 1 || f.H < 1 {
			return nil, fmt.Errorf("internvl: image of %d by %d pixels: both sides must be at least 1", f.W, f.H)
		}
	}
	room := func(tiles int) []float32 { return make([]float32, 0, tiles*c.Vision.patches()*c.Vision.patchDim()) }
	if n := len(frames); n > 1 {
		p := &models.Picture{Pixels: room(n), Tokens: n * c.tileTokens(), Grid: [3]int{n, 1, 1}, Width: size, Height: size, Video: true}
		for _, f := range frames {
			p.Pixels = c.Vision.tile(p.Pixels, images.Bicubic(f, size, size), 0, 0)
		}
		return p, nil
	}
	lo, hi := c.Tiling.within(limits, size*size)
	columns, rows := grid(frames[0].W, frames[0].H, size, lo, hi)
	tiles := rows * columns
	p := &models.Picture{Pixels: room(tiles + 1), Grid: [3]int{1, rows, columns}, Width: columns * size, Height: rows * size}
	whole := images.Bicubic(frames[0], p.Width, p.Height)
	for i := range tiles {
		p.Pixels = c.Vision.tile(p.Pixels, whole, i%columns*size, i/columns*size)
	}
	if c.Tiling.Thumbnail && tiles > 1 {
		p.Pixels = c.Vision.tile(p.Pixels, images.Bicubic(frames[0], size, size), 0, 0)
		tiles++
	}
	p.Tokens = tiles * c.tileTokens()
	return p, nil
}

// Blank is one tile of zeros.
func (c *Config) Blank() *models.Picture {
	v := &c.Vision
	return &models.Picture{
		Pixels: make([]float32, v.patches()*v.patchDim()), Tokens: c.tileTokens(), Grid: [3]int{1, 1, 1},
		Width: v.ImageSize, Height: v.ImageSize,
	}
}

// within returns the least and the greatest number of tiles of the given area.
func (t Tiling) within(limits models.Limits, area int) (lo, hi int) {
	hi = min(t.Max, max(1, limits.MaxPixels/area))
	lo = min(hi, max(t.Min, (limits.MinPixels+area-1)/area))
	return lo, hi
}

// grid returns columns and rows of lo to hi tiles of size by size pixels for a picture (Hugging Face: get_optimal_tiled_canvas): those
// whose ratio is nearest to that of the picture; of equally near ones the last, the larger, whose area is less than twice the picture's.
func grid(width, height, size, lo, hi int) (columns, rows int) {
	columns, rows = 1, 1
	ratio, area, nearest := float64(width)/float64(height), float64(width*height), math.Inf(1)
	for tiles := lo; tiles <= hi; tiles++ {
		for w := 1; w <= tiles; w++ {
			if tiles%w != 0 {
				continue
			}
			h := tiles / w
			d := math.Abs(ratio - float64(w)/float64(h))
			if d < nearest || d == nearest && area > 0.5*float64(size*size*tiles) {
				columns, rows, nearest = w, h, d
			}
		}
	}
	return columns, rows
}

// tile appends the patches of the tile whose upper left corner is at x, y.
func (v *Vision) tile(pixels []float32, src images.RGB, x, y int) []float32 {
	size := v.PatchSize
	for patch := range v.patches() {
		row, column := patch/v.side(), patch%v.side()
		for c := range channels {
			pixels = levels.Square(pixels, src, c, x+column*size, y+row*size, size)
		}
	}
	return pixels
}
