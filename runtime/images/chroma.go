package images

import (
	"fmt"
	"image"
)

// image/jpeg and libjpeg agree on a JPEG's luma but not on its colour: where chroma is stored at half size, image/jpeg
// repeats each sample and libjpeg, which every published model has seen, interpolates. On a noisy 4:2:0 photograph that
// is up to 134 levels and 6 on average (measured), so chroma is interpolated here, in libjpeg's integers.

// fullRows calls f with every row of m, its chroma at full size.
func fullRows(m *image.YCbCr, f func(y int, luma, cb, cr []uint8)) error {
	upsample, err := upsampler(m.SubsampleRatio)
	if err != nil {
		return err
	}
	w, h := m.Rect.Dx(), m.Rect.Dy()
	cb, cr := make([]uint8, w), make([]uint8, w)
	for y := range h {
		upsample(cb, m.Cb, m.CStride, y, h)
		upsample(cr, m.Cr, m.CStride, y, h)
		f(y, m.Y[y*m.YStride:][:w], cb, cr)
	}
	return nil
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
