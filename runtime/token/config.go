package token

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// config is the part of tokenizer_config.json that decides ids where there is no tokenizer.json.
type config struct {
	Class          string             `json:"tokenizer_class"`
	Added          map[int]addedToken `json:"added_tokens_decoder"`
	AddPrefixSpace bool               `json:"add_prefix_space"`
	AddBOS         *bool              `json:"add_bos_token"`
	AddEOS         *bool              `json:"add_eos_token"`
}

// readConfig reads tokenizer_config.json in dir. One that is absent says nothing, unless added_tokens.json then names
// tokens whose properties nobody gives.
func readConfig(dir string) (*config, error) {
	var c config
	b, err := os.ReadFile(filepath.Join(dir, "tokenizer_config.json"))
	if err == nil {
		err = json.Unmarshal(b, &c)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer_config.json: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "added_tokens.json")); err == nil && c.Added == nil {
		return nil, errors.New("added_tokens.json beside it, but no added_tokens_decoder in tokenizer_config.json: " +
			"save the tokenizer again with a current transformers")
	}
	return &c, nil
}

func (c *config) added() []addedToken {
	var list []addedToken
	for _, id := range slices.Sorted(maps.Keys(c.Added)) {
		a := c.Added[id]
		a.ID = id
		list = append(list, a)
	}
	return list
}

// The pipelines of tokenizer classes that are known to be byte-level, as transformers writes them into tokenizer.json.
const (
	gpt2Pipeline = `{"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
		"decoder": {"type": "ByteLevel"}, "model": {"type": "BPE"}}`
	qwen2Pipeline = `{"normalizer": {"type": "NFC"},
		"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
			{"type": "Split", "pattern": {"Regex": %q}, "behavior": "Isolated", "invert": false},
			{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]},
		"decoder": {"type": "ByteLevel"}, "model": {"type": "BPE"}}`
)

// readVocabAndMerges reads the older form of a byte-level tokenizer: vocab.json (path), merges.txt and
// tokenizer_config.json, which names the class and thereby the pipeline. InternVL's folders have it.
func readVocabAndMerges(path string) (*tables, error) {
	dir := filepath.Dir(path)
	cfg, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	var pipeline string
	switch class := strings.TrimSuffix(cfg.Class, "Fast"); {
	case cfg.AddPrefixSpace:
		return nil, errors.New("tokenizer_config.json: add_prefix_space: got true, want false")
	case class == "Qwen2Tokenizer":
		pipeline = fmt.Sprintf(qwen2Pipeline, splitPattern(`\p{N}`))
	case class == "GPT2Tokenizer":
		pipeline = gpt2Pipeline
	default:
		return nil, fmt.Errorf("tokenizer_config.json: tokenizer_class: got %q, want Qwen2Tokenizer or GPT2Tokenizer where there "+
			"is no tokenizer.json; transformers writes one: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)", cfg.Class)
	}
	var f file
	if err := json.Unmarshal([]byte(pipeline), &f); err != nil {
		return nil, fmt.Errorf("pipeline of %s: %w", cfg.Class, err)
	}
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &f.Model.Vocab)
	}
	if err != nil {
		return nil, err
	}
	f.AddedTokens = cfg.added()
	merges, err := os.ReadFile(filepath.Join(dir, "merges.txt"))
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(merges))
	for lines.Scan() {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#version") {
			continue
		}
		left, right, _ := strings.Cut(line, " ")
		f.Model.Merges = append(f.Model.Merges, pair{left, right})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("merges.txt: %w", err)
	}
	return build(&f)
}
