package internvl

import (
	"mixr/runtime/models"
	"mixr/runtime/models/decoder"
)

// With those of the other files, the methods below make *Config a models.Model.
var _ models.Model = (*Config)(nil)

func (c *Config) Family() string           { return "internvl" }
func (c *Config) Decoder() *decoder.Config { return c.Text }
func (c *Config) Stop() []int              { return c.StopIDs }
func (c *Config) EndOfTurn() int           { return c.StopIDs[0] }

// Feed is the pixels of all tiles for Tower.
func (c *Config) Feed(pictures []*models.Picture) []models.Input {
	var pixels []float32
	for _, p := range pictures {
		pixels = append(pixels, p.Pixels...)
	}
	patches, dim := c.Vision.patches(), c.Vision.patchDim()
	return []models.Input{{Name: "pixels", Shape: []int{len(pixels) / (patches * dim), patches, dim}, F32: pixels}}
}
