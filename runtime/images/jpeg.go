package images

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/jpeg"
	"iter"
)

// Markers of a JPEG.
const (
	sof0, sof2  = 0xc0, 0xc2 // start of frame: baseline, extended and progressive
	startOfScan = 0xda
	app1        = 0xe1 // EXIF
	app14       = 0xee // Adobe's, whose last byte says what four components mean
)

// segments yields marker and payload of every segment of a JPEG before its first scan, as far as they are whole. Payloads are parts
// of b.
func segments(b []byte) iter.Seq2[byte, []byte] {
	return func(yield func(byte, []byte) bool) {
		for i := 2; i+4 <= len(b) && b[i] == 0xff; {
			if b[i+1] == 0xff { // fill byte
				i++
				continue
			}
			marker, length := b[i+1], int(binary.BigEndian.Uint16(b[i+2:]))
			if marker == startOfScan || length < 2 || i+2+length > len(b) || !yield(marker, b[i+4:i+2+length]) {
				return
			}
			i += 2 + length
		}
	}
}

func decodeJPEG(b []byte) (*image.NRGBA, error) {
	ink := findInk(b)
	if ink.components == 4 {
		b = asStored(b)
	}
	img, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, damaged(err)
	}
	switch img := img.(type) {
	case *image.YCbCr:
		return fromYCbCr(img)
	case *image.CMYK:
		return ink.fromCMYK(img)
	}
	return opaque(img), nil // grey, or RGB stored as such
}

// fromYCbCr converts with libjpeg's interpolation of chroma.
func fromYCbCr(m *image.YCbCr) (*image.NRGBA, error) {
	out := image.NewNRGBA(image.Rect(0, 0, m.Rect.Dx(), m.Rect.Dy()))
	err := fullRows(m, func(y int, luma, cb, cr []uint8) {
		line := out.Pix[y*out.Stride:]
		for x, l := range luma {
			p := line[4*x:][:4]
			p[0], p[1], p[2] = rgb(l, cb[x], cr[x])
			p[3] = 255
		}
	})
	return out, err
}

// rgb is libjpeg's colour conversion in 16-bit fixed point.
func rgb(luma, cb, cr uint8) (r, g, b uint8) {
	y, u, v := int(luma), int(cb)-128, int(cr)-128
	// 1.402, 0.34414, 0.71414 and 1.772 times 2^16; 1<<15 rounds.
	return level(y + (91881*v+1<<15)>>16),
		level(y + (-22554*u-46802*v+1<<15)>>16),
		level(y + (116130*u+1<<15)>>16)
}
