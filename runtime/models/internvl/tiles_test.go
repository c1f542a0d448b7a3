package internvl

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

// tiler is a configuration with tiles of that size.
func tiler(size, most int) *Config {
	return &Config{Vision: Vision{ImageSize: size, PatchSize: 14}, Tiling: Tiling{Min: 1, Max: most, Thumbnail: true}}
}

var unlimited = models.Limits{MinPixels: 1, MaxPixels: 1 << 40}

func TestGrid(t *testing.T) {
	var rows [][7]int // width, height, size, least, most, columns, rows
	fixture.Load(t, "grid.json", &rows)
	several := 0
	for _, r := range rows {
		columns, down := grid(r[0], r[1], r[2], r[3], r[4])
		if columns != r[5] || down != r[6] {
			t.Errorf("%d by %d in %d to %d tiles of %d: got %d by %d, want %d by %d", r[0], r[1], r[3], r[4], r[2], columns, down, r[5], r[6])
		}
		if columns*down > 1 {
			several++
		}
	}
	if several < 60 {
		t.Errorf("%d of %d pictures take several tiles: the test says little", several, len(rows))
	}
}

// The pixels equal those of GotOcr2ImageProcessor to the bit.
func TestPicture(t *testing.T) {
	for _, row := range fixture.Rows(t, "tiles.json") {
		var w, h, size, most, tiles int
		var hash string
		var sample []float32
		row.Scan(t, &w, &h, &size, &most, &tiles, &hash, &sample)
		c := tiler(size, most)
		p, err := c.Picture([]images.RGB{picture(w, h)}, unlimited)
		fixture.Check(t, err)
		patch := c.Vision.patchDim()
		if p.Tokens != tiles*c.tileTokens() || len(p.Pixels) != tiles*c.Vision.patches()*patch {
			t.Fatalf("%d by %d: got %d tokens and %d numbers, want %d tiles", w, h, p.Tokens, len(p.Pixels), tiles)
		}
		if p.Width != size*p.Grid[2] || p.Height != size*p.Grid[1] || p.Grid[0] != 1 || p.Video {
			t.Errorf("%d by %d: got %d by %d pixels in grid %v", w, h, p.Width, p.Height, p.Grid)
		}
		last := p.Pixels[len(p.Pixels)-patch:]
		for i, want := range sample {
			if last[97*i] != want {
				t.Errorf("%d by %d: last patch, number %d: got %g, want %g", w, h, 97*i, last[97*i], want)
			}
		}
		raw, err := binary.Append(nil, binary.LittleEndian, p.Pixels)
		if sum := sha256.Sum256(raw); err != nil || hex.EncodeToString(sum[:]) != hash {
			t.Errorf("%d by %d: tiles differ from the reference, %v", w, h, err)
		}
	}
}

func TestLimits(t *testing.T) {
	const area = 56 * 56
	for _, test := range []struct {
		least, most int // pixels
		lo, hi      int // tiles
	}{
		{1, 1, 1, 1}, // less than a tile
		{1, 12 * area, 1, 12},
		{1, 6*area - 1, 1, 5},
		{1, 100 * area, 1, 12},
		{2*area + 1, 6 * area, 3, 6},
		{50 * area, 60 * area, 12, 12}, // more than the checkpoint's maximum
	} {
		lo, hi := tiler(56, 12).Tiling.within(models.Limits{MinPixels: test.least, MaxPixels: test.most}, area)
		if lo != test.lo || hi != test.hi {
			t.Errorf("%d to %d pixels: got %d to %d tiles, want %d to %d", test.least, test.most, lo, hi, test.lo, test.hi)
		}
	}
	img := []images.RGB{picture(300, 100)}
	for want, test := range map[string]struct {
		frames []images.RGB
		limits models.Limits
	}{
		"min_pixels <= max_pixels": {img, models.Limits{MinPixels: 10, MaxPixels: 5}},
		"without frames":           {nil, unlimited},
		"at least 1":               {[]images.RGB{{}}, unlimited},
	} {
		if _, err := tiler(56, 12).Picture(test.frames, test.limits); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
	}
}

// A checkpoint that asks for no thumbnail gets none; frames of a video are one tile each, whatever their shape.
func TestThumbnailAndVideo(t *testing.T) {
	c := tiler(56, 6)
	img := picture(300, 110)
	with, err := c.Picture([]images.RGB{img}, unlimited)
	fixture.Check(t, err)
	c.Tiling.Thumbnail = false
	without, err := c.Picture([]images.RGB{img}, unlimited)
	fixture.Check(t, err)
	tile := c.Vision.patches() * c.Vision.patchDim()
	if !slices.Equal(with.Pixels[:3*tile], without.Pixels) || without.Tokens != 3*c.tileTokens() || with.Tokens != 4*c.tileTokens() {
		t.Errorf("with %d tokens, without %d: want the same three tiles and one more", with.Tokens, without.Tokens)
	}
	video, err := c.Picture([]images.RGB{picture(90, 40), img}, unlimited)
	fixture.Check(t, err)
	if !video.Video || video.Grid != [3]int{2, 1, 1} || video.Tokens != 2*c.tileTokens() || !slices.Equal(video.Pixels[tile:], with.Pixels[3*tile:]) {
		t.Errorf("got grid %v, %d tokens; want two frames, the second the thumbnail of the picture", video.Grid, video.Tokens)
	}
	if feed := c.Feed([]*models.Picture{video, with, c.Blank()}); len(feed) != 1 || !slices.Equal(feed[0].Shape, []int{7, 16, 588}) || len(feed[0].F32) != 7*tile {
		t.Errorf("got feed of shape %v, want 2, 4 and 1 tiles", feed[0].Shape)
	}
}
