package train

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"mixr/runtime/data"
	"mixr/runtime/models/family"
	"mixr/runtime/weights"
)

// Shelf keeps what was read for one experiment for those that follow: the rungs of a study mostly share cards and policy, and each
// file is read and hashed once. What depends on the experiment is checked for every one. One goroutine uses it.
type Shelf struct {
	// Hub turns hf:ORG/NAME@REVISION into the folder of its files. nil: such a policy is an error.
	Hub func(ref string) (string, error)
	// Sums remembers the hashes of large files from one process to the next; nil: every file is read again.
	Sums *weights.SumCache

	cards    data.Cards
	sums     map[*data.Card]string
	policies map[string]*family.Checkpoint // by folder
	weights  map[[2]string]string          // hashes by folder and policy.init
}

// NewShelf returns an empty shelf.
func NewShelf() *Shelf {
	return &Shelf{
		cards: data.Cards{}, sums: map[*data.Card]string{}, policies: map[string]*family.Checkpoint{}, weights: map[[2]string]string{},
	}
}

// folder is where the policy named by policy.from lies.
func (s *Shelf) folder(from string) (string, error) {
	switch {
	case !strings.HasPrefix(from, "hf:"):
		return from, nil
	case s.Hub == nil:
		return "", fmt.Errorf("policy.from: %s is not a folder", from)
	}
	dir, err := s.Hub(from)
	if err != nil {
		return "", fmt.Errorf("policy.from: %w", err)
	}
	return dir, nil
}

func (s *Shelf) policy(dir string) (*family.Checkpoint, error) {
	if s.policies[dir] == nil {
		p, err := family.Load(dir)
		if err != nil {
			return nil, err
		}
		s.policies[dir] = p
	}
	return s.policies[dir], nil
}

// dataHashes is the content hash of each source's card, by source.
func (s *Shelf) dataHashes(set *data.Set) (map[string]string, error) {
	out := map[string]string{}
	for _, source := range set.Sources() {
		card := set.Card(source)
		if s.sums[card] == "" {
			sum, err := card.Hash()
			if err != nil {
				return nil, err
			}
			s.sums[card] = sum
		}
		out[source] = s.sums[card]
	}
	return out, nil
}

func (s *Shelf) policyHash(dir, init string) (string, error) {
	key := [2]string{dir, init}
	if s.weights[key] == "" {
		sum, err := s.hashPolicy(dir, init)
		if err != nil {
			return "", err
		}
		s.weights[key] = sum
	}
	return s.weights[key], nil
}

// hashPolicy covers every file of a policy folder that a result depends on.
func (s *Shelf) hashPolicy(dir, init string) (string, error) {
	h := sha256.New()
	for _, name := range [...]string{
		"config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json",
		"tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "added_tokens.json",
	} {
		sum, err := s.Sums.HashFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("policy: %w", err)
		}
		fmt.Fprintln(h, name, sum)
	}
	if t := s.policies[dir].Template; t != nil {
		fmt.Fprintln(h, "chat template", t.Hash())
	}
	if init == "weights" {
		sum, err := s.Sums.Hash(dir)
		if err != nil {
			return "", fmt.Errorf("policy.from: %w (to start without weights: policy.init: \"random\")", err)
		}
		fmt.Fprintln(h, "weights", sum)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
