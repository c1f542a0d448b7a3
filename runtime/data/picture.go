package data

import (
	"fmt"
	"path/filepath"
	"slices"
)

// pictures checks the images or the video of a row and sets them in ex.
func (c *Card) pictures(r row, ex *Example) (found flaws) {
	named := r.Images
	switch {
	case r.Image != "" && r.Images != nil:
		found.add("list all of them under images", "both image and images")
	case r.Image != "":
		named = []string{r.Image}
	case r.Images != nil && len(r.Images) == 0:
		found.add("name an image or remove the field", "images is empty")
	}
	switch {
	case r.Video != nil && len(named) > 0:
		found.add("a row has the one or the other", "both images and a video")
	case len(named) == 0 && r.Task == Grounding:
		found.add("name the image that the boxes are in", "image is missing")
	case len(named) == 0 && r.ImageSize != nil:
		found.add("remove image_size or name the image", "image_size without image")
	}
	for i, name := range named {
		field := "image"
		if r.Images != nil {
			field = fmt.Sprintf("images[%d]", i)
		}
		path, size, wrong := c.picture(field, name)
		found = append(found, wrong...)
		if i == 0 && path != "" {
			ex.ImageSize = size
			if len(wrong) == 0 && r.ImageSize != nil && !slices.Equal(r.ImageSize, size[:]) {
				found.add("the boxes may belong to another size of the image: correct both", "image_size: got %v, but %s has %v",
					r.ImageSize, c.within(name), size)
			}
		}
		ex.Images = append(ex.Images, path)
	}
	return append(found, c.video(r, ex)...)
}

// video checks the frames of a row.
func (c *Card) video(r row, ex *Example) (found flaws) {
	switch {
	case r.Video == nil && r.FPS != nil:
		found.add("remove fps or list the frames under video", "fps without video")
	case r.Video != nil && r.FPS == nil:
		found.add("give the frames per second at which they were taken", "video without fps")
	case r.FPS != nil && *r.FPS <= 0:
		found.add("give the frames per second at which they were taken", "fps: got %g, want > 0", *r.FPS)
	case r.FPS != nil:
		ex.FPS = *r.FPS
	}
	if r.Video != nil && len(r.Video) < 2 {
		found.add("list two or more, or name one as image", "video: got %d frames, want at least 2", len(r.Video))
	}
	var first [2]int
	for i, name := range r.Video {
		path, size, wrong := c.picture(fmt.Sprintf("video[%d]", i), name)
		found = append(found, wrong...)
		if i == 0 {
			first = size
		} else if len(wrong) == 0 && first != [2]int{} && size != first {
			found.add("frames have one size", "video[%d]: %s has %v, the first frame has %v", i, c.within(name), size, first)
		}
		ex.Video = append(ex.Video, path)
	}
	return found
}

// picture returns path and size of a picture that a row names in a field; a size of 0, 0 where it cannot be read.
func (c *Card) picture(field, name string) (path string, size [2]int, found flaws) {
	switch {
	case name == "":
		found.add("name the file or remove the entry", "%s is empty", field)
		return "", size, found
	case filepath.IsAbs(name):
		found.add("write it relative to the card's images folder", "%s is an absolute path: %s", field, name)
		return "", size, found
	}
	path = filepath.Join(c.dir, c.within(name))
	header := c.images.at(path)
	if header.mistake != "" {
		found.add(header.hint, "%s %s: %s", field, c.within(name), header.mistake)
	}
	return path, header.size, found
}

// within is the path of a picture from the card's folder.
func (c *Card) within(name string) string { return filepath.Join(c.Images, filepath.FromSlash(name)) }
