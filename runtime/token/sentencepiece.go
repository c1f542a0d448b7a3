package token

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// readSentencePiece reads a tokenizer.model that holds a BPE without text normalisation, as those of Llama 2, Mistral and
// InternLM2, and the tokens that tokenizer_config.json beside it adds. These are matched first, and what lies between two
// of them has the ids that sentencepiece gives it on its own, with the blank before the first word: as in the tokenizer
// classes that call sentencepiece (InternLM2Tokenizer). EncodeWithSpecial adds what add_bos_token (true if absent) and
// add_eos_token (false) say.
//
// differs: transformers 5 turns such a file of class LlamaTokenizer into one that puts no blank where one stands already,
// and adds no <s>; a folder that means this has a tokenizer.json. Where the bytes of a sequence are no UTF-8, Decode
// writes one U+FFFD for each byte of the run; sentencepiece keeps the good ones.
func readSentencePiece(path string) (*tables, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := parseSentencePiece(b)
	if err != nil {
		return nil, fmt.Errorf("not a sentencepiece model: %w", err)
	}
	cfg, err := readConfig(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	t, err := m.tables(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w; transformers writes a tokenizer.json instead: "+
			"AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)", err)
	}
	return t, nil
}

const sentencePiecePipeline = `{"decoder": {"type": "Sequence", "decoders": [
	{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}]}}`

func (m *sentencePiece) tables(cfg *config) (*tables, error) {
	switch {
	case m.model != 2:
		return nil, fmt.Errorf("trainer_spec.model_type: got %d, want 2 (BPE)", m.model)
	case m.suffix:
		return nil, errors.New("trainer_spec.treat_whitespace_as_suffix: got true, want false")
	case len(m.charsMap) > 0:
		return nil, fmt.Errorf("normalizer_spec: got %s, want identity (no precompiled_charsmap)", m.normalizer)
	case !m.escapes:
		return nil, errors.New("normalizer_spec.escape_whitespaces: got false, want true")
	}
	var f file
	if err := json.Unmarshal([]byte(sentencePiecePipeline), &f); err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	f.Model.Type, f.Model.FuseUnk, f.Model.ByteFallback = "BPE", true, m.byteFallback
	f.Model.Vocab = make(map[string]int, len(m.pieces))
	for id, p := range m.pieces {
		if _, ok := f.Model.Vocab[p.text]; ok || p.text == "" {
			return nil, fmt.Errorf("pieces[%d]: %q is empty or there twice", id, p.text)
		}
		f.Model.Vocab[p.text] = id
		switch p.kind {
		case unknownPiece:
			f.Model.UnkToken = &m.pieces[id].text
			fallthrough
		case controlPiece:
			if _, ok := cfg.Added[id]; !ok {
				f.AddedTokens = append(f.AddedTokens, addedToken{ID: id, Content: p.text, Special: true})
			}
		case unusedPiece:
			return nil, fmt.Errorf("pieces[%d]: %q is of type UNUSED", id, p.text)
		}
	}
	for _, a := range cfg.added() {
		a.Normalized = false // sentencepiece sees only what lies between them
		f.AddedTokens = append(f.AddedTokens, a)
	}
	if err := m.setMerges(&f); err != nil {
		return nil, err
	}
	t, err := build(&f)
	if err != nil {
		return nil, err
	}
	for id, p := range m.pieces {
		if p.kind == userPiece {
			t.folded.add(added{text: p.text, id: id})
		}
	}
	t.normalize = m.normalize
	if m.dummyPrefix || m.removeExtra {
		joined := t.decode
		t.decode = func(tokens []string) string { return joined(m.dropBlanks(tokens)) }
	}
	if (cfg.AddBOS == nil || *cfg.AddBOS) && m.bos >= 0 {
		t.before = []int{m.bos}
	}
	if cfg.AddEOS != nil && *cfg.AddEOS && m.eos >= 0 {
		t.after = []int{m.eos}
	}
	return t, nil
}

// setMerges derives the merges: two tokens may become one if the vocabulary has what they make together, the one with the
// higher score first. Equal scores have equal ranks, so that the leftmost goes first.
func (m *sentencePiece) setMerges(f *file) error {
	var normal []piece
	is := map[string]bool{}
	for _, p := range m.pieces {
		if p.kind == normalPiece {
			normal = append(normal, p)
		}
		is[p.text] = p.kind == normalPiece || p.kind == userPiece && utf8.RuneCountInString(p.text) == 1
	}
	slices.SortStableFunc(normal, func(a, b piece) int { return cmp.Compare(b.score, a.score) })
	rank := int32(-1)
	for i, p := range normal {
		if i == 0 || p.score != normal[i-1].score {
			rank++
		}
		for at, r := range p.text {
			if !is[string(r)] {
				return fmt.Errorf("pieces: %q has the rune %q, which is no piece", p.text, r)
			}
			if left, right := p.text[:at], p.text[at:]; is[left] && is[right] {
				f.Model.Merges = append(f.Model.Merges, pair{left, right})
				f.Model.Ranks = append(f.Model.Ranks, rank)
			}
		}
	}
	return nil
}

// normalize escapes blanks. Without extra ones, those at both ends go and a run becomes one.
func (m *sentencePiece) normalize(s string) string {
	if m.removeExtra {
		s = strings.Join(slices.DeleteFunc(strings.Split(s, " "), func(s string) bool { return s == "" }), " ")
	}
	if s != "" && m.dummyPrefix {
		s = " " + s
	}
	s = strings.ReplaceAll(s, " ", blankSign)
	for m.removeExtra && strings.HasSuffix(s, blankSign) {
		s = strings.TrimSuffix(s, blankSign)
	}
	return s
}

// dropBlanks takes the dummy prefix from the tokens of a text or, without extra blanks, all that it begins with.
func (m *sentencePiece) dropBlanks(tokens []string) []string {
	for i, token := range tokens {
		rest, blank := strings.CutPrefix(token, blankSign)
		tokens[i] = rest
		if rest != "" || blank && !m.removeExtra {
			break
		}
	}
	return tokens
}
