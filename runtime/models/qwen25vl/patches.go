package qwen25vl

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"mixr/runtime/images"
	"mixr/runtime/models"
)

// CLIP's mean and standard deviation of the RGB channels at 0 to 1, image_mean and image_std of every Qwen2.5-VL.
var (
	imageMean = [channels]float32{0.48145466, 0.4578275, 0.40821073}
	imageStd  = [channels]float32{0.26862954, 0.26130258, 0.27577711}
	levels    = models.Normalised(imageMean, imageStd)
)

// Preprocess turns one image, or the frames of a video, into patches: it resizes with Pillow's bicubic filter, normalises and cuts.
//
// An image is resized to SmartResize's size, and each of its patches holds it twice. The frames of a video have one size, and are
// resized to that of an image within videoLimits; two frames make a step of the grid, and a last frame without a partner stands
// twice. There is nothing between frames to interpolate: which frames, and at what rate, is the caller's choice.
//
// Pixels is [T*H*W, 1176]: step after step, the patches of a step in the order of Grid.patch, merged tokens in raster order and the
// four patches of each together. A patch is [3, 2, 14, 14]: channel (RGB), frame, row, column.
//
// Reference: Hugging Face transformers. Its "slow" processor of images (Qwen2VLImageProcessorPil in 5.24, with Pillow 12.3) gives these
// numbers to the last bit, on 30 of 30 random images of 4 to 600 pixels a side (measured). Its default one (Qwen2VLImageProcessor, on
// torchvision) is near: it folds 1/255 into mean and deviation, which moves last bits, and resizes in other roundings, which moves
// 1 value in 180 by a level of 255, rarely two; only an image more than 100 times as high as wide, where Pillow changes the order of
// its passes, is further off (15 levels). The video processor, on torchvision alone, is as near as the default one: 2 levels.
// Pillow 13 resizes in another order for some sizes: 4 of the 30 differ, by at most 2 levels.
func Preprocess(frames []images.RGB, limits models.Limits) (*models.Picture, error) {
	if len(frames) == 0 {
		return nil, errors.New("qwen25vl: a picture without frames")
	}
	for i, f := range frames {
		if f.W != frames[0].W || f.H != frames[0].H {
			return nil, fmt.Errorf("qwen25vl: frame %d has %d by %d pixels, frame 0 has %d by %d: a video's frames have one size",
				i, f.W, f.H, frames[0].W, frames[0].H)
		}
	}
	if len(frames) > 1 {
		limits = videoLimits(len(frames), limits)
	}
	w, h, err := SmartResize(frames[0].W, frames[0].H, limits.MinPixels, limits.MaxPixels)
	if err != nil {
		return nil, fmt.Errorf("qwen25vl: %w", err)
	}
	g, steps := Grid{H: h / PatchSize, W: w / PatchSize}, (len(frames)+TemporalPatch-1)/TemporalPatch
	p := &models.Picture{
		Pixels: make([]float32, 0, steps*g.Patches()*PatchDim),
		Tokens: steps * g.Merged(), Grid: [3]int{steps, g.H, g.W}, Width: w, Height: h,
	}
	if len(frames) > 1 {
		p.Video, p.FPS = true, defaultFPS
	}
	for step := range steps {
		var pair [TemporalPatch]images.RGB
		for i := range pair {
			if at := TemporalPatch*step + i; at < len(frames) {
				pair[i] = images.Bicubic(frames[at], w, h)
			} else { // a still image, or the last frame of an odd number
				pair[i] = pair[i-1]
			}
		}
		p.Pixels = appendPatches(p.Pixels, g, pair)
	}
	return p, nil
}

// defaultFPS is the rate for which the reference takes a video that says none: a step of two frames a second.
const defaultFPS = 2

// videoLimits are the limits of one of n frames: those of an image, but a long video has videoPixels in all, which its frames share,
// down to 1.05 of the minimum each.
//
// Reference: Qwen2VLVideoProcessor with cap_pixels_per_frame, which is what the authors' own qwen-vl-utils does. Both have other
// default limits for frames than for images, 128 and 768 tokens; here limits are the experiment's.
func videoLimits(n int, l models.Limits) models.Limits {
	share := videoPixels * TemporalPatch / n
	return models.Limits{MinPixels: l.MinPixels, MaxPixels: max(min(l.MaxPixels, share), int(float64(l.MinPixels)*1.05))}
}

// videoPixels is 90 % of 128000 tokens of 28 by 28 pixels, counted over the steps of a video.
const videoPixels = 128000 * PatchSize * MergeSize * PatchSize * MergeSize * 9 / 10

// appendPatches cuts two resized frames.
func appendPatches(to []float32, g Grid, frames [TemporalPatch]images.RGB) []float32 {
	for i := range g.Patches() {
		row, column := g.patch(i)
		for c := range channels {
			for _, frame := range frames {
				to = levels.Square(to, frame, c, column*PatchSize, row*PatchSize, PatchSize)
			}
		}
	}
	return to
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
