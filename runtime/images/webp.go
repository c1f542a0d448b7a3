package images

import (
	"bytes"
	"errors"
	"image"
	"io"

	"golang.org/x/image/webp"
)

var errAnimated = errors.New("animated WebP is not supported: save its first frame, or its frames as a video, as PNG files")

// webpSize reads the header. x/image/webp would call an animation an invalid file.
func webpSize(r io.Reader) (image.Config, error) {
	const flagsAt, animated = 20, 1 << 1
	head := make([]byte, flagsAt+1)
	n, err := io.ReadFull(r, head)
	if err == nil && string(head[12:16]) == "VP8X" && head[flagsAt]&animated != 0 {
		return image.Config{}, errAnimated
	}
	return webp.DecodeConfig(io.MultiReader(bytes.NewReader(head[:n]), r))
}

func decodeWebP(b []byte) (*image.NRGBA, error) {
	img, err := webp.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, damaged(err)
	}
	switch img := img.(type) {
	case *image.YCbCr:
		return fromVP8(img), nil
	case *image.NYCbCrA:
		return fromVP8(&img.YCbCr), nil
	}
	return opaque(img), nil
}

// fromVP8 converts the planes of a lossy WebP as libwebp does. They are BT.601 in studio range (luma 16 to 235), which
// the standard conversion takes for the full range of a JPEG, and chroma is interpolated: 9/16 the nearest sample, 3/16
// the next nearest along each side, 1/16 the diagonal one.
func fromVP8(m *image.YCbCr) *image.NRGBA {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	rows, columns := (h+1)/2, (w+1)/2
	for y := range h {
		near, far, _ := neighbours(y, rows)
		luma, line := m.Y[y*m.YStride:], out.Pix[y*out.Stride:]
		for x := range w {
			i, j, _ := neighbours(x, columns)
			chroma := func(plane []uint8) int {
				a, b := plane[near*m.CStride:], plane[far*m.CStride:]
				return (9*int(a[i]) + 3*int(a[j]) + 3*int(b[i]) + int(b[j]) + 8) >> 4
			}
			y, u, v := int(luma[x]), chroma(m.Cb), chroma(m.Cr)
			p := line[4*x:][:4]
			p[0] = level((high(y, 19077) + high(v, 26149) - 14234) >> 6)
			p[1] = level((high(y, 19077) - high(u, 6419) - high(v, 13320) + 8708) >> 6)
			p[2] = level((high(y, 19077) + high(u, 33050) - 17685) >> 6)
			p[3] = 255
		}
	}
	return out
}

// high is the product without its low 8 bits.
func high(v, coefficient int) int { return v * coefficient >> 8 }
