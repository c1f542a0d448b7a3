package images

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

// picture is the generated picture of bench/resize_fixture.py: gradients, edges and noise, all in integers.
func picture(w, h int) RGB {
	p := New(w, h)
	for y := range h {
		for x := range w {
			noise := int(uint32(uint64(x*7919+y*104729+x*y%251*31)*2654435761) >> 24)
			green := noise
			if (x+y)%13 < 6 {
				green = (x/5 + y/7) % 2 * 255
			}
			r := x*255/max(w-1, 1) + noise/4
			b := y*255/max(h-1, 1)*3 + noise/8
			copy(p.Pix[Channels*(y*w+x):], []uint8{uint8(r), uint8(green), uint8(b)})
		}
	}
	return p
}

// TestBicubic: bit for bit what Pillow computes.
func TestBicubic(t *testing.T) {
	for _, row := range readRows(t, "resize.json") {
		var w, h, w2, h2 int
		var want string
		scan(t, row, &w, &h, &w2, &h2, &want)
		got := Bicubic(picture(w, h), w2, h2)
		if sum := sha256.Sum256(got.Pix); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%d by %d to %d by %d differs from Pillow", w, h, w2, h2)
		}
	}
}
