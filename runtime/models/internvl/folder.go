package internvl

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"mixr/runtime/models"
)

// readJSON reads a file of the folder into a struct; false if there is none.
func readJSON(path string, into any) (bool, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	return true, nil
}

// loadStop sets StopIDs to the tokens that end a completion. The first ends a turn: <|im_end|>, where the tokenizer's files know it.
// eos_token_id does not always say so, since some checkpoints keep that of the base model they were trained from.
func (c *Config) loadStop(dir string) error {
	end, found, err := endOfTurn(dir)
	if err != nil {
		return err
	}
	if found {
		c.StopIDs = slices.Concat([]int{end}, c.StopIDs)
	}
	stop, err := models.StopTokens(dir, c.StopIDs, c.Text.Vocab)
	if err != nil {
		return err
	}
	if found && stop[0] != end {
		stop = slices.Insert(stop, 0, end)
	}
	c.StopIDs = stop
	return nil
}

// endOfTurn looks for the id of <|im_end|> among the added tokens that tokenizer_config.json lists, else tokenizer.json.
func endOfTurn(dir string) (id int, found bool, err error) {
	var config struct {
		Added map[string]struct {
			Content string `json:"content"`
		} `json:"added_tokens_decoder"`
	}
	if _, err := readJSON(filepath.Join(dir, "tokenizer_config.json"), &config); err != nil {
		return 0, false, err
	}
	for key, t := range config.Added {
		if t.Content == imEnd {
			if id, err = strconv.Atoi(key); err != nil {
				return 0, false, fmt.Errorf("%s: added_tokens_decoder: %s: %w", filepath.Join(dir, "tokenizer_config.json"), imEnd, err)
			}
			return id, true, nil
		}
	}
	var tokenizer struct {
		Added []struct {
			ID      int    `json:"id"`
			Content string `json:"content"`
		} `json:"added_tokens"`
	}
	if _, err := readJSON(filepath.Join(dir, "tokenizer.json"), &tokenizer); err != nil {
		return 0, false, err
	}
	for _, t := range tokenizer.Added {
		if t.Content == imEnd {
			return t.ID, true, nil
		}
	}
	return 0, false, nil
}

// processor is the image processor's configuration.
type processor struct {
	Mean     []float32 `json:"image_mean"`
	Std      []float32 `json:"image_std"`
	Resample int       `json:"resample"`
	Size     tileSize  `json:"size"`
	Min      int       `json:"min_patches"`
	Max      int       `json:"max_patches"`
}

const bicubicFilter = 3 // Pillow's number

// loadProcessor reads the image processor's file, preprocessor_config.json or the part image_processor of processor_config.json. It must
// ask for the preprocessing that Picture does. In transformers' layout it bounds the number of tiles too.
func (c *Config) loadProcessor(dir string) error {
	f := processor{slices.Clone(imageMean[:]), slices.Clone(imageStd[:]), bicubicFilter, tileSize(c.Vision.ImageSize), c.Tiling.Min, c.Tiling.Max}
	path := filepath.Join(dir, "preprocessor_config.json")
	found, err := readJSON(path, &f)
	if err == nil && !found {
		path = filepath.Join(dir, "processor_config.json")
		found, err = readJSON(path, &struct {
			Image *processor `json:"image_processor"`
		}{&f})
	}
	if err != nil || !found {
		return err
	}
	var errs []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: "+format, append([]any{path}, args...)...))
		}
	}
	want(slices.Equal(f.Mean, imageMean[:]), "image_mean: got %v, want %v", f.Mean, imageMean)
	want(slices.Equal(f.Std, imageStd[:]), "image_std: got %v, want %v", f.Std, imageStd)
	want(f.Resample == bicubicFilter, "resample: got %d, want %d", f.Resample, bicubicFilter)
	want(int(f.Size) == c.Vision.ImageSize, "size: got %d, want vision_config.image_size %d: position embeddings are not interpolated",
		f.Size, c.Vision.ImageSize)
	if !c.Original {
		want(f.Min >= 1 && f.Min <= f.Max, "min_patches %d, max_patches %d: want 1 <= min <= max", f.Min, f.Max)
		c.Tiling.Min, c.Tiling.Max = f.Min, f.Max
	}
	return errors.Join(errs...)
}

// tileSize is a length in pixels as image processors write it: a number, or equal height and width.
type tileSize int

func (s *tileSize) UnmarshalJSON(b []byte) error {
	var both struct {
		Height int `json:"height"`
		Width  int `json:"width"`
	}
	if json.Unmarshal(b, (*int)(s)) == nil {
		return nil
	}
	if err := json.Unmarshal(b, &both); err != nil || both.Height != both.Width || both.Height == 0 {
		return fmt.Errorf("size: got %s, want a length, or equal height and width", b)
	}
	*s = tileSize(both.Height)
	return nil
}
