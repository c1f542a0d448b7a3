package images

import (
	"errors"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// jpegTolerance is how far a decoded JPEG may be from libjpeg's: the two round the inverse transform differently, one
// level of luma or chroma, which the colour conversion widens. (measured on the fixtures, and on 48 random images of 200 to 900 pixels
// a side in all of Pillow's samplings and qualities of 30 to 98: at most 3, 0.04 on average, 3.3 % of values differ.)
const jpegTolerance = 3

// TestDecode compares every file of testdata/decode with what Pillow makes of it (bench/resize_fixture.py).
func TestDecode(t *testing.T) {
	wants, err := filepath.Glob("testdata/decode/*.want.png")
	if err != nil || len(wants) < 60 {
		t.Fatalf("got %d fixtures, %v", len(wants), err)
	}
	for _, want := range wants {
		path := strings.TrimSuffix(want, ".want.png")
		got, err := Load(path)
		if err != nil {
			t.Error(err)
			continue
		}
		f, err := os.Open(want)
		if err != nil {
			t.Fatal(err)
		}
		wanted, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		tolerance := 0
		if filepath.Ext(path) == ".jpg" {
			tolerance = jpegTolerance
		}
		if w, h, err := Size(path); err != nil || w != got.W || h != got.H {
			t.Errorf("%s: Size says %d by %d, %v; Load gives %d by %d", path, w, h, err, got.W, got.H)
		}
		worst, off := distance(t, got, toRGB(opaque(wanted)))
		if worst > tolerance {
			t.Errorf("%s: off by up to %d levels, %.1f %% of pixels", path, worst, 100*off)
		}
	}
}

// distance returns the largest difference of a channel and the share of pixels that differ.
func distance(t *testing.T, p, q RGB) (worst int, off float64) {
	t.Helper()
	if p.W != q.W || p.H != q.H {
		t.Fatalf("size: got %d by %d, want %d by %d", p.W, p.H, q.W, q.H)
	}
	for i := 0; i < len(p.Pix); i += Channels {
		largest := 0
		for c := range Channels {
			d := int(p.Pix[i+c]) - int(q.Pix[i+c])
			largest = max(largest, d, -d)
		}
		worst = max(worst, largest)
		if largest > 0 {
			off++
		}
	}
	return worst, off * Channels / float64(len(p.Pix))
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	read := func(name string) []byte {
		b, err := os.ReadFile("testdata/decode/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "absent.png"):   "no such file",
		dir:                                "is a folder",
		file("empty.png", nil):             "0 bytes",
		file("short.png", []byte("\x89P")): "not a PNG",
		file("text.png", []byte("hello, I am no picture")):                 `starts with "hello, I"`,
		file("cut.png", read("png_rgb.png")[:700]):                         "cut off",
		file("cut.jpg", read("jpeg_420.jpg")[:900]):                        "cut off",
		file("cut.gif", read("gif_whole.gif")[:400]):                       "cut off",
		file("cut.webp", read("webp_lossy.webp")[:200]):                    "cut off",
		"testdata/decode/refused_animated.webp":                            "animated WebP",
		file("bomb.gif", []byte("GIF89a\xff\xff\xff\xff\x00\x00\x00\x3b")): "want at most",
	} {
		_, err := Load(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), filepath.Base(path)) {
			t.Errorf("%s: got error %v, want one with %q and the file's name", path, err, want)
		}
	}
}

// Size reads on where the size of a JPEG stands behind a long colour profile, and says what is wrong with a file.
func TestSize(t *testing.T) {
	b, err := os.ReadFile("testdata/decode/jpeg_exif6.jpg")
	if err != nil {
		t.Fatal(err)
	}
	profile := append([]byte{0xff, 0xe2, 0xff, 0xff}, make([]byte, 0xffff-2)...)
	path := filepath.Join(t.TempDir(), "long.jpg")
	if err := os.WriteFile(path, slices.Concat(b[:2], profile, profile, profile, b[2:]), 0o600); err != nil {
		t.Fatal(err)
	}
	if w, h, err := Size(path); err != nil || w != 14 || h != 23 {
		t.Errorf("got %d by %d, %v; want 14 by 23", w, h, err)
	}
	if img, err := Load(path); err != nil || img.W != 14 || img.H != 23 {
		t.Errorf("Load: got %d by %d, %v", img.W, img.H, err)
	}
	if _, _, err := Size("testdata/resize.json"); err == nil || !strings.Contains(err.Error(), "not a PNG") {
		t.Errorf("got error %v", err)
	}
	if _, _, err := Size("testdata/gone.png"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got error %v", err)
	}
}

// TestOpaque: hidden colours survive, 16-bit channels lose their low byte, bounds need not start at 0.
func TestOpaque(t *testing.T) {
	wide := image.NewNRGBA64(image.Rect(3, 4, 5, 5))
	wide.SetNRGBA64(3, 4, color.NRGBA64{R: 0x12ff, G: 0x8000, B: 0xffff, A: 0})
	wide.SetNRGBA64(4, 4, color.NRGBA64{R: 0x0100, G: 0x00ff, B: 0x7fff, A: 0x1234})
	got := toRGB(opaque(wide))
	if want := (RGB{2, 1, []uint8{0x12, 0x80, 0xff, 0x01, 0x00, 0x7f}}); got.W != 2 || got.H != 1 || string(got.Pix) != string(want.Pix) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Pictures with a palette have a way of their own, which gives what the general one does, also of a part of a picture.
func TestOpaqueOfPalette(t *testing.T) {
	palette := color.Palette{color.NRGBA{10, 20, 30, 40}, color.RGBA{50, 60, 70, 255}, color.Gray{80}, color.NRGBA64{0x9000, 0xa000, 0xb000, 0xc000}}
	img := image.NewPaletted(image.Rect(0, 0, 7, 5), palette)
	for i := range img.Pix {
		img.Pix[i] = uint8(i % len(palette))
	}
	for _, part := range []image.Rectangle{img.Bounds(), image.Rect(2, 1, 6, 4)} {
		sub := img.SubImage(part)
		got, want := opaque(sub), opaque(struct{ image.Image }{sub})
		if !slices.Equal(got.Pix, want.Pix) || got.Bounds() != want.Bounds() {
			t.Errorf("%v: got %v, want %v", part, got.Pix, want.Pix)
		}
	}
}

func TestOrientationOfBrokenEXIF(t *testing.T) {
	for _, b := range []string{"", "\xff\xd8", "\xff\xd8\xff\xe1\xff\xff", "\xff\xd8\xff\xe1\x00\x08Exif\x00\x00", "\xff\xd8\xff\xe1\x00\x10Exif\x00\x00II*\x00\xff\xff\xff\xff"} {
		if got := orientation(jpegEXIF([]byte(b))); got != 1 {
			t.Errorf("%q: got %d, want 1", b, got)
		}
	}
}
