package data

import (
	"errors"
	"io/fs"

	"mixr/runtime/images"
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
	w, h, err := images.Size(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return imageHeader{mistake: "no such file", hint: "correct the row's image or the card's images folder"}
	case err != nil:
		return imageHeader{mistake: err.Error(), hint: "name a picture that can be read, or remove the row"}
	}
	return imageHeader{size: [2]int{w, h}}
}
