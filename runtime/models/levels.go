package models

import "mixr/runtime/images"

// Levels are the numbers that a tower reads for the 256 levels of each channel.
type Levels [images.Channels][256]float32

// Normalised tabulates (level/255 - mean)/std, rounded to float32 where Hugging Face's processors with Pillow round: after the product
// with 1/255 and after each of the other two operations.
func Normalised(mean, std [images.Channels]float32) *Levels {
	l := &Levels{}
	for c := range l {
		for level := range l[c] {
			v := float32(float64(level) * (1.0 / 255))
			l[c][level] = (v - mean[c]) / std[c]
		}
	}
	return l
}

// Square appends one channel of the size by size pixels whose upper left corner is at x, y, row after row.
func (l *Levels) Square(to []float32, img images.RGB, channel, x, y, size int) []float32 {
	for row := range size {
		line := img.Pix[images.Channels*((y+row)*img.W+x)+channel:]
		for column := range size {
			to = append(to, l[channel][line[images.Channels*column]])
		}
	}
	return to
}
