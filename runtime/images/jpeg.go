package images

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
)

// image/jpeg and libjpeg agree on a JPEG's luma but not on its colour: where chroma is stored at half size, image/jpeg
// repeats each sample and libjpeg, which every published model has seen, interpolates. On a noisy 4:2:0 photograph that
// is up to 134 levels and 6 on average (measured), so chroma is interpolated here, in libjpeg's integers.

func decodeJPEG(b []byte) (*image.NRGBA, error) {
	img, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, damaged(err)
	}
	var out *image.NRGBA
	switch img := img.(type) {
	case *image.YCbCr:
		out, err = fromYCbCr(img)
	case *image.CMYK:
		err = errors.New("CMYK JPEG: its colours depend on a profile; convert the file to RGB")
	default: // grey, or RGB stored as such
		out = opaque(img)
	}
	if err != nil {
		return nil, err
	}
	return upright(out, orientation(b)), nil
}

// fromYCbCr converts with libjpeg's interpolation of chroma and its 16-bit fixed-point colour conversion.
func fromYCbCr(m *image.YCbCr) (*image.NRGBA, error) {
	upsample, err := upsampler(m.SubsampleRatio)
	if err != nil {
		return nil, err
	}
	w, h := m.Rect.Dx(), m.Rect.Dy()
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	cb, cr := make([]uint8, w), make([]uint8, w)
	for y := range h {
		upsample(cb, m.Cb, m.CStride, y, h)
		upsample(cr, m.Cr, m.CStride, y, h)
		line := out.Pix[y*out.Stride:]
		for x, l := range m.Y[y*m.YStride:][:w] {
			v, b, r := int(l), int(cb[x])-128, int(cr[x])-128
			// 1.402, 0.34414, 0.71414 and 1.772 times 2^16; 1<<15 rounds.
			p := line[4*x:][:4]
			p[0] = level(v + (91881*r+1<<15)>>16)
			p[1] = level(v + (-22554*b-46802*r+1<<15)>>16)
			p[2] = level(v + (116130*b+1<<15)>>16)
			p[3] = 255
		}
	}
	return out, nil
}

// An upsample function computes row y of a chroma plane whose full size is len(dst) by h.
type upsample func(dst, plane []uint8, stride, y, h int)

// upsampler chooses as libjpeg's jdsample.c does by default: interpolation where chroma is halved along a side, else
// repetition.
func upsampler(ratio image.YCbCrSubsampleRatio) (upsample, error) {
	switch ratio {
	case image.YCbCrSubsampleRatio444:
		return repeated(1, 1), nil
	case image.YCbCrSubsampleRatio422:
		return halfAcross, nil
	case image.YCbCrSubsampleRatio420:
		return halfBoth, nil
	case image.YCbCrSubsampleRatio440:
		return halfDown, nil
	case image.YCbCrSubsampleRatio411:
		return repeated(4, 1), nil
	case image.YCbCrSubsampleRatio410:
		return repeated(4, 2), nil
	}
	return nil, fmt.Errorf("JPEG: chroma subsampling %v is not supported", ratio)
}

func repeated(across, down int) upsample {
	return func(dst, plane []uint8, stride, y, h int) {
		row := plane[y/down*stride:]
		for x := range dst {
			dst[x] = row[x/across]
		}
	}
}

// tooNarrow is the number of chroma columns up to which libjpeg repeats samples along x after all.
const tooNarrow = 2

// halfAcross weighs 3/4 the nearest sample and 1/4 the next nearest, rounding down in even columns and up in odd ones.
func halfAcross(dst, plane []uint8, stride, y, h int) {
	columns := (len(dst) + 1) / 2
	if columns <= tooNarrow {
		repeated(2, 1)(dst, plane, stride, y, h)
		return
	}
	row := plane[y*stride:][:columns]
	for x := range dst {
		near, far, bias := neighbours(x, columns)
		dst[x] = uint8((3*int(row[near]) + int(row[far]) + bias) >> 2)
	}
}

// halfDown is halfAcross along y.
func halfDown(dst, plane []uint8, stride, y, h int) {
	near, far, bias := neighbours(y, (h+1)/2)
	a, b := plane[near*stride:], plane[far*stride:]
	for x := range dst {
		dst[x] = uint8((3*int(a[x]) + int(b[x]) + bias) >> 2)
	}
}

// halfBoth weighs 9/16 the nearest sample, 3/16 the next nearest along each side and 1/16 the diagonal one, rounding
// up in even columns and down in odd ones.
func halfBoth(dst, plane []uint8, stride, y, h int) {
	rows, columns := (h+1)/2, (len(dst)+1)/2
	if columns <= tooNarrow {
		repeated(2, 2)(dst, plane, stride, y, h)
		return
	}
	near, far, _ := neighbours(y, rows)
	a, b := plane[near*stride:][:columns], plane[far*stride:][:columns]
	for x := range dst {
		i, j, bias := neighbours(x, columns)
		dst[x] = uint8((3*(3*int(a[i])+int(b[i])) + 3*int(a[j]) + int(b[j]) + 9 - bias) >> 4)
	}
}

// neighbours returns the half-size samples nearest and next nearest to full-size position x, of n samples, and the
// rounding term of x: 1 for even and 2 for odd positions.
func neighbours(x, n int) (near, far, bias int) {
	if near = x / 2; x%2 == 0 {
		return near, max(near-1, 0), 1
	}
	return near, min(near+1, n-1), 2
}

// orientation returns EXIF tag 0x0112 of a JPEG, 1 (upright) where there is none or the block is broken: a picture
// without usable EXIF is shown as stored everywhere.
func orientation(b []byte) int {
	const app1, startOfScan = 0xe1, 0xda
	for i := 2; i+4 <= len(b) && b[i] == 0xff; {
		marker, length := b[i+1], int(binary.BigEndian.Uint16(b[i+2:]))
		if marker == startOfScan || length < 2 || i+2+length > len(b) {
			break
		}
		if exif, ok := bytes.CutPrefix(b[i+4:i+2+length], []byte("Exif\x00\x00")); ok && marker == app1 {
			return tiffOrientation(exif)
		}
		i += 2 + length
	}
	return 1
}

func tiffOrientation(b []byte) int {
	const tag, upright = 0x0112, 1
	if len(b) < 8 {
		return upright
	}
	var order binary.ByteOrder = binary.LittleEndian
	if b[0] == 'M' {
		order = binary.BigEndian
	}
	directory := uint64(order.Uint32(b[4:]))
	if directory+2 > uint64(len(b)) {
		return upright
	}
	entries := b[directory+2:]
	for range order.Uint16(b[directory:]) {
		if len(entries) < 12 {
			break
		}
		if order.Uint16(entries) == tag {
			if o := int(order.Uint16(entries[8:])); o >= 1 && o <= 8 {
				return o
			}
			break
		}
		entries = entries[12:]
	}
	return upright
}

// upright undoes an EXIF orientation: 2 mirrored, 3 turned by 180 degrees, 4 upside down mirrored, 5 to 8 with rows and
// columns exchanged.
func upright(src *image.NRGBA, orientation int) *image.NRGBA {
	if orientation == 1 {
		return src
	}
	w, h := src.Rect.Dx(), src.Rect.Dy()
	dst := image.NewNRGBA(image.Rect(0, 0, w, h))
	if orientation >= 5 {
		dst = image.NewNRGBA(image.Rect(0, 0, h, w))
	}
	for y := range dst.Rect.Dy() {
		for x := range dst.Rect.Dx() {
			var sx, sy int
			switch orientation {
			case 2:
				sx, sy = w-1-x, y
			case 3:
				sx, sy = w-1-x, h-1-y
			case 4:
				sx, sy = x, h-1-y
			case 5:
				sx, sy = y, x
			case 6:
				sx, sy = y, h-1-x
			case 7:
				sx, sy = w-1-y, h-1-x
			case 8:
				sx, sy = w-1-y, x
			}
			copy(dst.Pix[dst.PixOffset(x, y):][:4], src.Pix[src.PixOffset(sx, sy):])
		}
	}
	return dst
}
