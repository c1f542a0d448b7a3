package models

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"mixr/runtime/models/decoder"
	"mixr/runtime/token"
)

// StopTokens are the tokens that end a completion of the checkpoint in dir: eos_token_id (an id or a list) of generation_config.json
// where that file has one, else those of config.json. They are ids below vocab, without repetition; where one of config.json's is among
// them it stands first, since a turn ends with it.
func StopTokens(dir string, config []int, vocab int) ([]int, error) {
	stop, file := config, filepath.Join(dir, "config.json")
	path := filepath.Join(dir, "generation_config.json")
	b, err := os.ReadFile(path)
	if err == nil {
		var own []int
		if own, err = parseStop(b); err == nil && own != nil {
			stop, file = own, path
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(stop) == 0 {
		return nil, fmt.Errorf("%s: eos_token_id: is required: a completion could not end", file)
	}
	for _, id := range stop {
		if id < 0 || id >= vocab {
			return nil, fmt.Errorf("%s: eos_token_id: got %d, want 0 to %d (vocab_size - 1)", file, id, vocab-1)
		}
	}
	var out []int
	for _, id := range slices.Concat(config, stop) {
		if slices.Contains(stop, id) && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out, nil
}

// parseStop reads eos_token_id of a generation_config.json; nil if it has none.
func parseStop(b []byte) ([]int, error) {
	var g struct {
		EOS decoder.IDs `json:"eos_token_id"`
	}
	if err := json.Unmarshal(b, &g); err != nil {
		return nil, err
	}
	return g.EOS, nil
}

// CheckVocabulary wants a row of the embedding for every id of the tokenizer.
func CheckVocabulary(tok *token.Tokenizer, vocab int) error {
	if tok.Size() > vocab {
		return fmt.Errorf("tokenizer.json has ids up to %d, config.json's vocab_size is %d", tok.Size()-1, vocab)
	}
	return nil
}
