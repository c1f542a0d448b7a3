package images

import (
	"bytes"
	"encoding/binary"
	"image"
)

// A picture without a usable EXIF block is shown as stored everywhere, so none of these functions fails.

// jpegEXIF returns the TIFF structure in a JPEG's APP1 segment, nil where there is none.
func jpegEXIF(b []byte) []byte {
	for marker, payload := range segments(b) {
		if exif, ok := bytes.CutPrefix(payload, []byte(exifMagic)); ok && marker == app1 {
			return exif
		}
	}
	return nil
}

const exifMagic = "Exif\x00\x00"

// pngEXIF returns the content of a PNG's eXIf chunk, nil where there is none.
func pngEXIF(b []byte) []byte {
	const signature, around = 8, 12 // length and name before a chunk's data, checksum after it
	for b = b[min(signature, len(b)):]; len(b) >= around; {
		n := int(binary.BigEndian.Uint32(b))
		if n > len(b)-around {
			break
		}
		if string(b[4:8]) == "eXIf" {
			return b[8 : 8+n]
		}
		b = b[around+n:]
	}
	return nil
}

// webpEXIF returns the content of a WebP's EXIF chunk, nil where there is none.
func webpEXIF(b []byte) []byte {
	const header, before = 12, 8 // name and length before a chunk's data
	for b = b[min(header, len(b)):]; len(b) >= before; {
		n := int(binary.LittleEndian.Uint32(b[4:]))
		if n > len(b)-before {
			break
		}
		if string(b[:4]) == "EXIF" {
			return bytes.TrimPrefix(b[before:before+n], []byte(exifMagic))
		}
		b = b[min(before+n+n%2, len(b)):]
	}
	return nil
}

// noEXIF is for formats that hold none.
func noEXIF([]byte) []byte { return nil }

// orientation returns tag 0x0112 of a TIFF structure, 1 (upright) where it is absent or broken.
func orientation(b []byte) int {
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

// transposed is the first of the orientations that exchange rows and columns.
const transposed = 5

// upright undoes an EXIF orientation: 2 mirrored, 3 turned by 180 degrees, 4 upside down mirrored, 5 to 8 with rows and
// columns exchanged.
func upright(src *image.NRGBA, orientation int) *image.NRGBA {
	if orientation == 1 {
		return src
	}
	w, h := src.Rect.Dx(), src.Rect.Dy()
	dst := image.NewNRGBA(image.Rect(0, 0, w, h))
	if orientation >= transposed {
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
