package data

import (
	"slices"

	"mixr/runtime/spec"
)

// Card is a dataset card (schema.#Dataset) with its rows: what the data is, whose it is, where the files lie.
type Card struct {
	Name        string              `json:"name"`
	Title       string              `json:"title"`
	Version     string              `json:"version"`
	Licence     string              `json:"licence"`
	Source      string              `json:"source"` // where it came from, with a commit or version
	Homepage    string              `json:"homepage"`
	Tasks       []Task              `json:"tasks"`       // that the rows hold, all of them
	Coordinates string              `json:"coordinates"` // space of the boxes as written: pixels, norm1000 or norm1
	Images      string              `json:"images"`      // folder that the rows' image paths start from, relative to the card
	Splits      map[string][]string `json:"splits"`      // "train", "test" -> JSONL files, relative to the card
	SHA256      string              `json:"sha256"`      // expected Hash; empty = not checked

	path   string               // of the card file, as the caller wrote it: messages name it so
	dir    string               // its folder, absolute
	rows   map[string][]Example // split -> rows in canonical order; Example.Source is empty
	images imageHeaders         // every image that a row names
}

// LoadCard reads the card at path, all its rows and the headers of all its images, and checks them. Mistakes come back
// together as spec.Diagnostics, at most maxMistakes of them; other errors are the machine's.
func LoadCard(path string) (*Card, error) {
	card, err := readCard(path)
	if err != nil {
		return nil, err
	}
	if err := card.check(); err != nil {
		return nil, err
	}
	if err := card.loadRows(); err != nil {
		return nil, err
	}
	if card.SHA256 == "" {
		return card, nil
	}
	sum, err := card.Hash()
	if err != nil {
		return nil, err
	}
	if sum != card.SHA256 {
		return nil, card.mistake("sha256", "got "+sum+" for the rows and images, want "+card.SHA256,
			"the data has changed: restore it, or correct or remove the field")
	}
	return card, nil
}

// Rows returns the examples of a split ("train" or "test") in canonical order, a hash of the id: the order of rows and
// files on disk has no effect. The caller must not change them.
func (c *Card) Rows(split string) []Example { return c.rows[split] }

// Path returns the card's file as LoadCard was given it.
func (c *Card) Path() string { return c.path }

// mistake is a single error about a field of the card.
func (c *Card) mistake(field, msg, hint string) error {
	return spec.Diagnostics{{Pos: spec.Pos{File: c.path}, Path: "dataset." + field, Msg: msg, Hint: hint}}
}

// check holds the rules between fields of the card.
func (c *Card) check() error {
	if c.Coordinates == "" && slices.Contains(c.Tasks, Grounding) {
		return c.mistake("coordinates", "missing, but the card has grounding rows", "say what the numbers of a box are, such as pixels")
	}
	if len(c.Splits["train"])+len(c.Splits["test"]) == 0 {
		return c.mistake("splits", "no files", `name the row files: splits: train: ["train.jsonl"]`)
	}
	return nil
}
