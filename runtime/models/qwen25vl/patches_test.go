package qwen25vl

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/fixture"
	"mixr/runtime/images"
	"mixr/runtime/models"
)

// picture is the generated picture.
func picture(w, h int) images.RGB { return images.RGB{W: w, H: h, Pix: fixture.Picture(w, h)} }

func TestSmartResize(t *testing.T) {
	for _, row := range fixture.Rows(t, "smart.json") {
		var w, h, lo, hi, wantW, wantH int
		row.Scan(t, &w, &h, &lo, &hi, &wantW, &wantH)
		gotW, gotH, err := SmartResize(w, h, lo, hi)
		if err != nil || gotW != wantW || gotH != wantH {
			t.Errorf("%d by %d in [%d, %d]: got %d by %d, %v, want %d by %d", w, h, lo, hi, gotW, gotH, err, wantW, wantH)
		}
	}
	for _, c := range [][6]int{
		{640, 480, 3136, 12845056, 644, 476},
		{1920, 1080, 3136, 1003520, 1316, 728},
		{70, 70, 784, 12845056, 56, 56}, // half rounds to even: 2.5 units to 2
		{1, 1, 3136, 12845056, 56, 56},
		{200, 13, 3136, 12845056, 224, 28}, // 13 rounds to 0 units, so that the area counts as too small
		{14, 14, 784, 12845056, 28, 28},
		{2800, 14, 784, 12845056, 420, 28},
	} {
		w, h, err := SmartResize(c[0], c[1], c[2], c[3])
		if err != nil || w != c[4] || h != c[5] {
			t.Errorf("%v: got %d by %d, %v", c, w, h, err)
		}
	}
	for want, c := range map[string][4]int{
		"ratio":                {2010, 10, 3136, 12845056},
		"at least 1":           {0, 10, 3136, 12845056},
		"max_pixels >= 784":    {100, 100, 0, 700},
		"min_pixels <= max_pi": {100, 100, 4000, 3000},
		"want 1 <= min_pixels": {100, 100, 0, 3000},
	} {
		if _, _, err := SmartResize(c[0], c[1], c[2], c[3]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got error %v, want one with %q", c, err, want)
		}
	}
}

// turned moves every row of an image to the left by n pixels, around its edge: the frames of a video.
func turned(src images.RGB, n int) images.RGB {
	out := images.New(src.W, src.H)
	for y := range src.H {
		line := src.Pix[images.Channels*src.W*y:][:images.Channels*src.W]
		cut := n % src.W * images.Channels
		copy(out.Pix[images.Channels*src.W*y:], slices.Concat(line[cut:], line[:cut]))
	}
	return out
}

// TestPreprocess: bit for bit the patches of Qwen2VLImageProcessor and Qwen2VLVideoProcessor, restated in NumPy with Pillow's resize.
func TestPreprocess(t *testing.T) {
	for _, row := range fixture.Rows(t, "patches.json") {
		var frames, w, h, lo, hi int
		var grid [3]int
		var hash string
		var sample []float32
		row.Scan(t, &frames, &w, &h, &lo, &hi, &grid, &hash, &sample)
		var clip []images.RGB
		for i := range frames {
			clip = append(clip, turned(picture(w, h), 5*i))
		}
		p, err := Preprocess(clip, models.Limits{MinPixels: lo, MaxPixels: hi})
		if err != nil {
			t.Fatal(err)
		}
		if patches := grid[0] * grid[1] * grid[2]; p.Grid != grid || p.Width != 14*grid[2] || p.Height != 14*grid[1] ||
			len(p.Pixels) != patches*PatchDim || p.Tokens != patches/MergeUnit || p.Video != (frames > 1) {
			t.Fatalf("%d frames of %d by %d: got grid %v, %d by %d pixels, %d numbers, %d tokens, video %t, want grid %v",
				frames, w, h, p.Grid, p.Width, p.Height, len(p.Pixels), p.Tokens, p.Video, grid)
		}
		last := p.Pixels[len(p.Pixels)-PatchDim:]
		for i, want := range sample {
			if last[97*i] != want {
				t.Errorf("%d by %d: last patch, number %d: got %g, want %g", w, h, 97*i, last[97*i], want)
			}
		}
		raw := make([]byte, 0, 4*len(p.Pixels))
		raw, err = binary.Append(raw, binary.LittleEndian, p.Pixels)
		if sum := sha256.Sum256(raw); err != nil || hex.EncodeToString(sum[:]) != hash {
			t.Errorf("%d by %d: patches differ from the reference, %v", w, h, err)
		}
	}
	limits := models.Limits{MinPixels: 3136, MaxPixels: 50176}
	for want, frames := range map[string][]images.RGB{
		"ratio of sides": {images.New(300, 1)},
		"without frames": nil,
		"frame 1 has 28 by 56 pixels, frame 0 ha": {images.New(28, 28), images.New(28, 56)},
	} {
		if _, err := Preprocess(frames, limits); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}

// TestVideoLimits: Qwen2VLVideoProcessor.resize with cap_pixels_per_frame, computed by it.
func TestVideoLimits(t *testing.T) {
	for _, tc := range []struct{ frames, lo, hi, want int }{
		{2, 100352, 602112, 602112},
		{299, 100352, 602112, 602112},
		{301, 100352, 602112, 600111},
		{768, 100352, 602112, 235200},
		{4000, 100352, 602112, 105369},
	} {
		got := videoLimits(tc.frames, models.Limits{MinPixels: tc.lo, MaxPixels: tc.hi})
		if want := (models.Limits{MinPixels: tc.lo, MaxPixels: tc.want}); got != want {
			t.Errorf("%d frames: got %v, want %v", tc.frames, got, want)
		}
	}
}

func BenchmarkPreprocess(b *testing.B) {
	frames, limits := []images.RGB{picture(640, 480)}, models.Limits{MinPixels: 3136, MaxPixels: 50176}
	for b.Loop() {
		if _, err := Preprocess(frames, limits); err != nil {
			b.Fatal(err)
		}
	}
}
