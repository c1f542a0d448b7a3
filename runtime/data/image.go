package data

import (
	"errors"
	"image"
	_ "image/gif" // formats a row may name; the same that the models decode
	_ "image/jpeg"
	_ "image/png"
	"io/fs"
	"os"

	_ "golang.org/x/image/webp"
)

// imageHeaders remembers the header of every image by path, as many rows ask about one image.
type imageHeaders map[string]imageHeader

// imageHeader is what a header says; mistake says why there is none.
type imageHeader struct {
	size    [2]int // width, height
	mistake string
	hint    string
}

// at reads the header of the image at path, once. Pixels are decoded when the example is used, not here.
func (hs imageHeaders) at(path string) imageHeader {
	h, seen := hs[path]
	if !seen {
		h = readHeader(path)
		hs[path] = h
	}
	return h
}

func readHeader(path string) imageHeader {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return imageHeader{mistake: "no such file", hint: "correct the row's image or the card's images folder"}
	case err != nil:
		return imageHeader{mistake: reason(err), hint: "make the file readable"}
	}
	defer f.Close()
	switch info, err := f.Stat(); {
	case err != nil:
		return imageHeader{mistake: reason(err), hint: "make the file readable"}
	case !info.Mode().IsRegular():
		return imageHeader{mistake: "not a file", hint: "name a PNG, JPEG, GIF or WebP file"}
	case info.Size() == 0:
		return imageHeader{mistake: "0 bytes", hint: "fetch it again or remove the row"}
	}
	c, _, err := image.DecodeConfig(f)
	if err != nil {
		return imageHeader{mistake: "cannot be decoded: " + err.Error(), hint: "want PNG, JPEG, GIF or WebP"}
	}
	return imageHeader{size: [2]int{c.Width, c.Height}}
}

// reason is err without operation and path, which the message has already.
func reason(err error) string {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
