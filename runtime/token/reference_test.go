package token

import (
	"compress/gzip"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The fixtures are made by bench/tokenizer_fixture.py, which says what is in them.

func readFixture(tb testing.TB, name string, to any) {
	tb.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".json.gz"))
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err == nil {
		err = json.NewDecoder(z).Decode(to)
	}
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
}

func readStrings(tb testing.TB) []string {
	var texts []string
	readFixture(tb, "strings", &texts)
	if len(texts) < 700 {
		tb.Fatalf("%d strings, want at least 700", len(texts))
	}
	return texts
}

// row is what the reference makes of one string: ids and two texts, of which null is a shorthand.
type row struct {
	ids            []int
	decoded, whole *string
}

func (r *row) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[...]any{&r.ids, &r.decoded, &r.whole})
}

type fixture struct {
	Base    string
	Patch   map[string]any
	Rows    []*row
	Special [][]int
}

// open loads the tokenizer of a fixture.
func (f *fixture) open(tb testing.TB, name string) *Tokenizer {
	tb.Helper()
	if _, err := os.Stat(filepath.Join("testdata", name+".model")); err == nil {
		return loadModel(tb, name, "")
	}
	if f.Base != "" && f.Base != "nano" {
		return load(tb, filepath.Join(shared, f.Base))
	}
	base := map[string]any{}
	if f.Base == "nano" {
		base = nanoFile(tb)
	}
	for key, value := range f.Patch {
		switch value := value.(type) {
		case map[string]any:
			if old, ok := base[key].(map[string]any); ok && key == "model" {
				maps.Copy(old, value)
				continue
			}
		case []any:
			if old, ok := base[key].([]any); ok {
				base[key] = append(old, value...)
				continue
			}
		}
		base[key] = f.Patch[key]
	}
	t, err := parsed(base)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// loadModel loads a sentencepiece model with a tokenizer_config.json beside it.
func loadModel(tb testing.TB, name, config string) *Tokenizer {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".model"))
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	write(tb, filepath.Join(dir, "tokenizer.model"), b)
	if config != "" {
		write(tb, filepath.Join(dir, "tokenizer_config.json"), []byte(config))
	}
	return load(tb, dir)
}

func write(tb testing.TB, path string, b []byte) {
	tb.Helper()
	if err := os.WriteFile(path, b, 0o666); err != nil {
		tb.Fatal(err)
	}
}

// TestReference compares with the reference: the tokenizers library, or sentencepiece for its models. Each fixture is a
// family of published tokenizers.
func TestReference(t *testing.T) {
	texts := readStrings(t)
	var nano fixture
	readFixture(t, "nano", &nano)
	files, err := fs.Glob(os.DirFS("testdata"), "*.json.gz")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(file, ".json.gz")
		if name == "strings" || name == "unicode" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var f fixture
			readFixture(t, name, &f)
			if len(f.Rows) != len(texts) {
				t.Fatalf("%d rows for %d strings", len(f.Rows), len(texts))
			}
			tok := f.open(t, name)
			compared := 0
			for i, r := range f.Rows {
				if r == nil && f.Base == "nano" {
					r = nano.Rows[i]
				}
				if r == nil {
					continue
				}
				compared++
				compare(t, tok, texts[i], r)
			}
			if compared < 700 {
				t.Errorf("%d rows, want at least 700", compared)
			}
			for i, ids := range f.Special {
				if got := tok.EncodeWithSpecial(texts[i]); !slices.Equal(got, ids) {
					t.Errorf("EncodeWithSpecial(%q)\n got %v\nwant %v", texts[i], got, ids)
				}
			}
		})
	}
}

func compare(t *testing.T, tok *Tokenizer, text string, r *row) {
	t.Helper()
	if got := tok.Encode(text); !slices.Equal(got, r.ids) {
		t.Errorf("Encode(%.200q)\n got %v\nwant %v", text, got, r.ids)
	}
	decoded := text
	if r.decoded != nil {
		decoded = *r.decoded
	}
	whole := decoded
	if r.whole != nil {
		whole = *r.whole
	}
	if got := tok.Decode(r.ids, true); got != decoded {
		t.Errorf("Decode of %.200q\n got %q\nwant %q", text, got, decoded)
	}
	if got := tok.Decode(r.ids, false); got != whole {
		t.Errorf("Decode with special tokens of %.200q\n got %q\nwant %q", text, got, whole)
	}
}

// TestUnicode compares classes and lower case of every code point with the reference.
func TestUnicode(t *testing.T) {
	var raw map[string]json.RawMessage
	readFixture(t, "unicode", &raw)
	no, yes := false, true
	strip := &bert{StripAccents: &yes}
	for name, is := range map[string]func(r rune) bool{
		"letter":      isLetter,
		"number":      isNumber,
		"numeric":     isNumeric,
		"space":       isSpace,
		"blank":       func(r rune) bool { return isSpace(r) && !isControl(r) },
		"dropped":     func(r rune) bool { return r == 0 || r == utf8.RuneError || isControl(r) },
		"mark":        func(r rune) bool { return strip.normalize(string(r)) == "" },
		"chinese":     isChinese,
		"punctuation": isPunctuation,
	} {
		var bounds []rune
		if err := json.Unmarshal(raw[name], &bounds); err != nil {
			t.Fatal(err)
		}
		want := spans(bounds)
		wrong := 0
		for r := range rune(utf8.MaxRune + 1) {
			skip := r == '.' || r >= 0xd800 && r < 0xe000
			if !skip && is(r) != want.has(r) {
				if wrong++; wrong <= 5 {
					t.Errorf("%s: %U: got %t", name, r, is(r))
				}
			}
		}
		if wrong > 0 {
			t.Errorf("%s: %d code points differ", name, wrong)
		}
	}
	var pairs [][2]any
	if err := json.Unmarshal(raw["lower"], &pairs); err != nil {
		t.Fatal(err)
	}
	want := map[rune]string{}
	for _, p := range pairs {
		want[rune(p[0].(float64))] = p[1].(string)
	}
	low := &bert{StripAccents: &no, Lowercase: true}
	for r := range rune(utf8.MaxRune + 1) {
		to, ok := want[r]
		if !ok {
			to = string(r)
		}
		if got := low.normalize(string(r)); got != to {
			t.Errorf("lower case of %U: got %q, want %q", r, got, to)
		}
	}
}
