package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
)

// hashedRow is what of a row enters the hash. Its form is frozen: a change would make every finished trial look new.
type hashedRow struct {
	Split    string   `json:"split"`
	ID       string   `json:"id"`
	Task     Task     `json:"task"`
	Image    string   `json:"image,omitempty"` // sha256 of the bytes
	Question string   `json:"question"`
	Answers  []string `json:"answers,omitempty"`
	Choices  []string `json:"choices,omitempty"`
	Boxes    []Box    `json:"boxes,omitempty"`
	Target   string   `json:"target,omitempty"`

	More  []string `json:"images,omitempty"` // sha256 of the images behind the first
	Video []string `json:"video,omitempty"`  // sha256 of every frame
	FPS   float64  `json:"fps,omitempty"`
}

// Hash is the content hash of the card, sha256 in hex: equal exactly if every example a run could draw is equal. It is
// over the set of rows, each with its split and the bytes of its images and frames, boxes in pixels. The order of rows, the names of
// files and folders, and the card's title, licence and the like are not in it.
func (c *Card) Hash() (string, error) {
	images := map[string]string{} // path -> sha256 of the bytes
	for path := range c.images {
		blob, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("hash of %s: %w", c.path, err)
		}
		sum := sha256.Sum256(blob)
		images[path] = hex.EncodeToString(sum[:])
	}
	var rows [][]byte
	for _, split := range slices.Sorted(maps.Keys(c.rows)) {
		for _, ex := range c.rows[split] {
			row := hashedRow{
				Split: split, ID: ex.ID, Task: ex.Task, Question: ex.Question, Answers: ex.Answers, Choices: ex.Choices, Boxes: ex.Boxes,
				Target: ex.Target, FPS: ex.FPS,
			}
			for i, path := range ex.Images {
				if i == 0 {
					row.Image = images[path]
				} else {
					row.More = append(row.More, images[path])
				}
			}
			for _, path := range ex.Video {
				row.Video = append(row.Video, images[path])
			}
			blob, err := json.Marshal(row)
			if err != nil {
				return "", fmt.Errorf("hash of %s: row %q: %w", c.path, ex.ID, err)
			}
			sum := sha256.Sum256(blob)
			rows = append(rows, sum[:])
		}
	}
	slices.SortFunc(rows, bytes.Compare)
	sum := sha256.Sum256(bytes.Join(rows, nil))
	return hex.EncodeToString(sum[:]), nil
}
