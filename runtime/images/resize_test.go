package images

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"mixr/runtime/fixture"
)

// TestBicubic: bit for bit what Pillow computes.
func TestBicubic(t *testing.T) {
	for _, row := range fixture.Rows(t, "resize.json") {
		var w, h, w2, h2 int
		var want string
		row.Scan(t, &w, &h, &w2, &h2, &want)
		got := Bicubic(RGB{w, h, fixture.Picture(w, h)}, w2, h2)
		if sum := sha256.Sum256(got.Pix); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%d by %d to %d by %d differs from Pillow", w, h, w2, h2)
		}
	}
}
