// Package images reads picture files and resizes them as the libraries do that published vision models were trained with.
//
// In: PNG, JPEG, WebP and GIF files. Out: packed 8-bit RGB whose pixels equal Pillow's (Load), and its bicubic resize bit for bit
// (Bicubic). It never writes a file, never normalises and knows no model.
package images

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"os"
)

// Limits of a file and of the picture in it. The second is Pillow's, beyond which it suspects a decompression bomb.
const (
	maxFileBytes   = 1 << 29
	maxImagePixels = 178956970
)

// Load reads a PNG, JPEG, WebP or GIF file (its first frame) as 8-bit RGB, as Pillow's exif_transpose and convert("RGB") do:
// transparency is dropped and not composed over a colour, 16-bit channels lose their low byte, CMYK is converted without a colour
// profile, and the picture is turned upright by its EXIF orientation. The pixels equal Pillow's, those of a JPEG up to the rounding
// of the inverse transform.
//
// differs: of a 16-bit grey PNG Pillow cuts values above 255 off, which turns most of the picture white; here the low byte goes.
//
// The error names the file: absent, empty, cut off, too large, an animated WebP, or of another format.
func Load(path string) (RGB, error) {
	b, err := read(path, maxFileBytes)
	var img *image.NRGBA
	if err == nil {
		img, err = decode(b)
	}
	if err != nil {
		return RGB{}, fmt.Errorf("image %s: %w", path, err)
	}
	return toRGB(img), nil
}

// Size is the width and height in pixels that Load would return, from the beginning of the file where that suffices. A file whose
// pixels are damaged has a size. The error does not name the file.
func Size(path string) (w, h int, err error) {
	const beginning = 1 << 17
	for _, limit := range [...]int{beginning, maxFileBytes} {
		var b []byte
		if b, err = read(path, limit); err != nil {
			break
		}
		var c codec
		var size image.Config
		if c, size, err = identify(b); err == nil {
			if w, h = size.Width, size.Height; orientation(c.exif(b)) >= transposed {
				w, h = h, w
			}
			return w, h, nil
		}
		if len(b) < limit { // that was all of it
			break
		}
	}
	return 0, 0, err
}

// read returns the first limit bytes of a file.
func read(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, withoutPath(err)
	case info.IsDir():
		return nil, errors.New("is a folder")
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	case info.Size() == 0:
		return nil, errors.New("file is empty (0 bytes)")
	case info.Size() > maxFileBytes:
		return nil, fmt.Errorf("file has %d bytes, want at most %d", info.Size(), maxFileBytes)
	}
	b := make([]byte, min(int64(limit), info.Size()))
	_, err = io.ReadFull(f, b)
	return b, withoutPath(err)
}

// withoutPath is err without operation and path, which the message has already.
func withoutPath(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// Channels of a pixel: red, green, blue.
const Channels = 3

// RGB is an image in packed 8-bit RGB, rows from the top.
type RGB struct {
	W, H int
	Pix  []uint8 // [H, W, 3]
}

// New returns a black image.
func New(w, h int) RGB { return RGB{w, h, make([]uint8, Channels*w*h)} }

// codec reads one file format. Formats are told apart by their first bytes, never by the file's name.
type codec struct {
	magic  string
	size   func(r io.Reader) (image.Config, error)
	decode func(b []byte) (*image.NRGBA, error)
	exif   func(b []byte) []byte
}

// identify finds the format of a file and the size of the picture as stored. b may end after the headers.
func identify(b []byte) (codec, image.Config, error) {
	codecs := [...]codec{
		{"\x89PNG\r\n\x1a\n", png.DecodeConfig, decodePNG, pngEXIF},
		{"\xff\xd8\xff", jpeg.DecodeConfig, decodeJPEG, jpegEXIF},
		{"GIF8", gif.DecodeConfig, decodeGIF, noEXIF},
		{"RIFF????WEBP", webpSize, decodeWebP, webpEXIF},
	}
	for _, c := range codecs {
		if !hasMagic(b, c.magic) {
			continue
		}
		size, err := c.size(bytes.NewReader(b))
		switch {
		case err != nil:
			return c, size, damaged(err)
		case size.Width < 1 || size.Height < 1:
			return c, size, fmt.Errorf("%d by %d pixels: both sides must be at least 1", size.Width, size.Height)
		case size.Width*size.Height > maxImagePixels:
			return c, size, fmt.Errorf("%d by %d pixels, want at most %d in all", size.Width, size.Height, maxImagePixels)
		}
		return c, size, nil
	}
	return codec{}, image.Config{}, fmt.Errorf("not a PNG, JPEG, WebP or GIF file (starts with %q)", b[:min(8, len(b))])
}

func decode(b []byte) (*image.NRGBA, error) {
	c, _, err := identify(b)
	if err != nil {
		return nil, err
	}
	img, err := c.decode(b)
	if err != nil {
		return nil, err
	}
	return upright(img, orientation(c.exif(b))), nil
}

// damaged explains an error of a decoder, whose own words ("unexpected EOF") do not say that the file is to blame.
func damaged(err error) error {
	switch err.(type) {
	case png.UnsupportedError, jpeg.UnsupportedError:
		return err
	}
	if errors.Is(err, errAnimated) {
		return err
	}
	return fmt.Errorf("file is cut off or damaged: %w", err)
}

func hasMagic(b []byte, magic string) bool {
	if len(b) < len(magic) {
		return false
	}
	for i := range len(magic) {
		if magic[i] != '?' && magic[i] != b[i] {
			return false
		}
	}
	return true
}

func decodePNG(b []byte) (*image.NRGBA, error) {
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, damaged(err)
	}
	return opaque(img), nil
}

// decodeGIF draws the first frame on the logical screen. As in Pillow, what it does not cover has the transparent
// colour, or colour 0 if there is none, and transparent pixels have the colour of their palette entry, which
// image/gif keeps in the global palette only.
func decodeGIF(b []byte) (*image.NRGBA, error) {
	screen, err := gif.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return nil, damaged(err)
	}
	first, err := gif.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, damaged(err)
	}
	frame, ok := first.(*image.Paletted)
	if !ok {
		return nil, fmt.Errorf("gif: first frame is a %T, want a paletted image", first)
	}
	global, _ := screen.ColorModel.(color.Palette)
	background := 0
	colours := make([]color.NRGBA, len(frame.Palette))
	for i, c := range frame.Palette {
		if _, _, _, alpha := c.RGBA(); alpha == 0 {
			background = i
			if i < len(global) {
				c = global[i]
			}
		}
		colours[i] = solid(c)
	}
	out := image.NewNRGBA(image.Rect(0, 0, screen.Width, screen.Height))
	for y := range screen.Height {
		for x := range screen.Width {
			c := background
			if at := (image.Point{X: x, Y: y}); at.In(frame.Rect) {
				c = int(frame.ColorIndexAt(x, y))
			}
			if c < len(colours) {
				out.SetNRGBA(x, y, colours[c])
			} else {
				out.SetNRGBA(x, y, color.NRGBA{A: 255})
			}
		}
	}
	return out, nil
}

// opaque copies img with its colours as stored and alpha 255. Going through premultiplied colours, as the standard
// conversion does, would lose those of transparent pixels.
func opaque(img image.Image) *image.NRGBA {
	b := img.Bounds()
	out := image.NewNRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	if pix, stride, ok := straight(img); ok {
		for y := range b.Dy() {
			line := out.Pix[y*out.Stride:][:out.Stride]
			copy(line, pix[y*stride:])
			for i := 3; i < len(line); i += 4 {
				line[i] = 255
			}
		}
		return out
	}
	if img, ok := img.(*image.Paletted); ok {
		var colours [256]color.NRGBA // decoders see to it that no pixel is beyond the palette
		for i, c := range img.Palette {
			colours[i] = solid(c)
		}
		for y := range b.Dy() {
			for x, i := range img.Pix[y*img.Stride:][:b.Dx()] {
				out.SetNRGBA(x, y, colours[i])
			}
		}
		return out
	}
	for y := range b.Dy() {
		for x := range b.Dx() {
			out.SetNRGBA(x, y, solid(img.At(b.Min.X+x, b.Min.Y+y)))
		}
	}
	return out
}

// straight returns the bytes of the two common kinds of image that hold R, G, B as stored and a fourth byte.
func straight(img image.Image) (pix []uint8, stride int, ok bool) {
	switch img := img.(type) {
	case *image.NRGBA:
		return img.Pix, img.Stride, true
	case *image.RGBA:
		return img.Pix, img.Stride, img.Opaque()
	}
	return nil, 0, false
}

// solid returns the colour without its alpha; of 16-bit channels the high byte.
func solid(c color.Color) color.NRGBA {
	switch c := c.(type) {
	case color.NRGBA:
		return color.NRGBA{c.R, c.G, c.B, 255}
	case color.NRGBA64:
		return color.NRGBA{uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8), 255}
	}
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	return color.NRGBA{n.R, n.G, n.B, 255}
}

// toRGB drops the alpha channel.
func toRGB(n *image.NRGBA) RGB {
	out := New(n.Rect.Dx(), n.Rect.Dy())
	at := 0
	for y := range out.H {
		for line := n.Pix[y*n.Stride:][:4*out.W]; len(line) > 0; line = line[4:] {
			at += copy(out.Pix[at:], line[:Channels])
		}
	}
	return out
}
