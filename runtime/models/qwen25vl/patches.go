package qwen25vl

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"mixr/runtime/images"
)

// Patches is one image as the vision model reads it.
type Patches struct {
	Grid
	Width, Height int // pixels after resizing: 14 times the grid; coordinates that the model writes are in these
	// Pixels is [P, 1176]. Patches are in the order of Grid.patch: merged tokens in raster order, the four patches of
	// each together. A patch is [3, 2, 14, 14]: channel (RGB), frame (a still image twice), row, column.
	Pixels []float32
}

// CLIP's mean and standard deviation of the RGB channels at 0 to 1, image_mean and image_std of every Qwen2.5-VL.
var (
	imageMean = [channels]float32{0.48145466, 0.4578275, 0.40821073}
	imageStd  = [channels]float32{0.26862954, 0.26130258, 0.27577711}
)

// Preprocess resizes an image to SmartResize's size with Pillow's bicubic filter, normalises it and cuts it into patches
// (Hugging Face: Qwen2VLImageProcessor with Pillow). Transparency is dropped, not composed over a colour. The numbers
// equal the reference's to the last bit for the same decoded pixels.
func Preprocess(src images.RGB, minPixels, maxPixels int) (*Patches, error) {
	w, h, err := SmartResize(src.W, src.H, minPixels, maxPixels)
	if err != nil {
		return nil, fmt.Errorf("qwen25vl: %w", err)
	}
	src = images.Bicubic(src, w, h)
	p := &Patches{Grid: Grid{H: h / PatchSize, W: w / PatchSize}, Width: w, Height: h}
	p.Pixels = make([]float32, 0, p.Patches()*PatchDim)
	normal := normalised()
	for i := range p.Patches() {
		row, column := p.patch(i)
		corner := channels * (row*PatchSize*w + column*PatchSize)
		for c := range channels {
			for range TemporalPatch {
				for y := range PatchSize {
					line := src.Pix[corner+channels*y*w+c:]
					for x := range PatchSize {
						p.Pixels = append(p.Pixels, normal[c][line[channels*x]])
					}
				}
			}
		}
	}
	return p, nil
}

// normalised tabulates (level/255 - mean)/std for every channel and level, rounded to float32 where the reference
// rounds: after the product with 1/255 and after each of the other two operations.
func normalised() (t [channels][256]float32) {
	for c := range t {
		for l := range t[c] {
			v := float32(float64(l) * (1.0 / 255))
			t[c][l] = (v - imageMean[c]) / imageStd[c]
		}
	}
	return t
}

// checkPreprocessor compares preprocessor_config.json with what Preprocess does. min_pixels and max_pixels are left
// aside: they are the experiment's to choose.
func checkPreprocessor(b []byte) error {
	const bicubicFilter = 3 // Pillow's number
	f := struct {
		Mean     []float32 `json:"image_mean"`
		Std      []float32 `json:"image_std"`
		Patch    int       `json:"patch_size"`
		Temporal int       `json:"temporal_patch_size"`
		Merge    int       `json:"merge_size"`
		Resample int       `json:"resample"`
	}{slices.Clone(imageMean[:]), slices.Clone(imageStd[:]), PatchSize, TemporalPatch, MergeSize, bicubicFilter}
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	var errs []error
	if !slices.Equal(f.Mean, imageMean[:]) {
		errs = append(errs, fmt.Errorf("image_mean: got %v, want %v", f.Mean, imageMean))
	}
	if !slices.Equal(f.Std, imageStd[:]) {
		errs = append(errs, fmt.Errorf("image_std: got %v, want %v", f.Std, imageStd))
	}
	for _, field := range [...]struct {
		name        string
		got, wanted int
	}{
		{"patch_size", f.Patch, PatchSize},
		{"temporal_patch_size", f.Temporal, TemporalPatch},
		{"merge_size", f.Merge, MergeSize},
		{"resample", f.Resample, bicubicFilter},
	} {
		if field.got != field.wanted {
			errs = append(errs, fmt.Errorf("%s: got %d, want %d", field.name, field.got, field.wanted))
		}
	}
	return errors.Join(errs...)
}
