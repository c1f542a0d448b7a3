package images

import (
	"bytes"
	"image"
	"slices"
)

// ink says how the four components of a print JPEG are stored.
//
// image/jpeg converts such a file with repeated chroma and refuses one without Adobe's marker. It leaves components as they are,
// 255 minus each, where that marker says "unknown": so the marker is rewritten, and the rest is done here as libjpeg and Pillow do.
type ink struct {
	components int
	halved     bool // the second and third at half size both ways
	ycck       bool // the first three are a YCbCr picture
}

// adobe is an APP14 segment of transform 0: marker, length, "Adobe", version, two flags, transform.
const adobe = "\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"

// transformAt is the place of the transform in the payload of Adobe's segment.
const transformAt = 11

func isAdobe(marker byte, payload []byte) bool {
	return marker == app14 && len(payload) > transformAt && bytes.HasPrefix(payload, []byte("Adobe"))
}

// findInk reads the headers of a JPEG.
func findInk(b []byte) (k ink) {
	for marker, payload := range segments(b) {
		switch {
		case isAdobe(marker, payload):
			k.ycck = payload[transformAt] != 0
		case marker >= sof0 && marker <= sof2 && len(payload) >= 12:
			k.components = int(payload[5])
			k.halved = payload[7] != payload[10] // sampling factors of components 1 and 2
		}
	}
	return k
}

// asStored returns the file with a marker that makes image/jpeg leave the components as they are.
func asStored(b []byte) []byte {
	b = slices.Insert(slices.Clone(b), 2, []byte(adobe)...)
	for marker, payload := range segments(b) {
		if isAdobe(marker, payload) {
			payload[transformAt] = 0
		}
	}
	return b
}

// fromCMYK converts the components that asStored made image/jpeg return. As Pillow, it takes every file for one that Adobe's programs
// wrote, 255 = no ink, and knows no colour profile.
func (k ink) fromCMYK(m *image.CMYK) (*image.NRGBA, error) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	black := make([]uint8, w*h)
	ratio, shift := image.YCbCrSubsampleRatio444, 0
	if k.halved {
		ratio, shift = image.YCbCrSubsampleRatio420, 1
	}
	planes := image.NewYCbCr(m.Rect, ratio)
	for y := range h {
		for x := range w {
			p := m.Pix[y*m.Stride+4*x:][:4]
			planes.Y[y*planes.YStride+x] = 255 - p[0]
			// Halved components come back with every sample four times.
			at := y>>shift*planes.CStride + x>>shift
			planes.Cb[at], planes.Cr[at] = 255-p[1], 255-p[2]
			black[y*w+x] = 255 - p[3]
		}
	}
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	err := fullRows(planes, func(y int, first, second, third []uint8) {
		line := out.Pix[y*out.Stride:]
		for x := range w {
			cyan, magenta, yellow, light := 255-first[x], 255-second[x], 255-third[x], black[y*w+x]
			if k.ycck {
				cyan, magenta, yellow = rgb(first[x], second[x], third[x])
			}
			p := line[4*x:][:4]
			p[0], p[1], p[2] = light-scaled(cyan, light), light-scaled(magenta, light), light-scaled(yellow, light)
			p[3] = 255
		}
	})
	return out, err
}

// scaled is a*b/255, rounded.
func scaled(a, b uint8) uint8 {
	p := int(a)*int(b) + 128
	return uint8((p>>8 + p) >> 8)
}
