package images

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzDecode: any bytes are an error or a picture of the size that its header says, never a panic.
func FuzzDecode(f *testing.F) {
	paths, err := filepath.Glob("testdata/decode/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if !strings.HasSuffix(path, ".want.png") {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, size, err := identify(b)
		if err != nil || size.Width*size.Height > 1<<20 { // larger ones only cost time
			return
		}
		img, err := decode(b)
		if err != nil {
			return
		}
		w, h := size.Width, size.Height
		if orientation(c.exif(b)) >= transposed {
			w, h = h, w
		}
		if got := toRGB(img); got.W != w || got.H != h || len(got.Pix) != Channels*w*h {
			t.Errorf("got %d by %d in %d bytes, want %d by %d", got.W, got.H, len(got.Pix), w, h)
		}
	})
}
