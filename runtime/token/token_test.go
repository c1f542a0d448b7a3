package token

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	nano   = "../../experiments/policies/nano"
	shared = "../../../shared/models" // published tokenizers, too large to commit
)

func load(tb testing.TB, dir string) *Tokenizer {
	tb.Helper()
	if _, err := os.Stat(filepath.Join(dir, "tokenizer.json")); err != nil && strings.HasPrefix(dir, shared) {
		tb.Skipf("published tokenizer absent: %v", err)
	}
	t, err := Load(dir)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// patched loads the nano tokenizer after edit has changed its JSON.
func patched(tb testing.TB, edit func(f map[string]any)) (*Tokenizer, error) {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(nano, "tokenizer.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var f map[string]any
	if err := json.Unmarshal(b, &f); err != nil {
		tb.Fatal(err)
	}
	edit(f)
	if b, err = json.Marshal(f); err != nil {
		tb.Fatal(err)
	}
	return parse(b)
}

// qwen2Split puts Qwen2's pipeline in place of the nano tokenizer's, as bench/tokenizer_fixture.py --qwen2-split does.
func qwen2Split(f map[string]any) {
	f["normalizer"] = map[string]any{"type": "NFC"}
	f["pre_tokenizer"] = map[string]any{"type": "Sequence", "pretokenizers": []any{
		map[string]any{"type": "Split", "pattern": map[string]any{"Regex": qwen2Pattern}, "behavior": "Isolated", "invert": false},
		map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
	}}
}

// TestReference compares with the reference tokenizers library (bench/tokenizer_fixture.py).
func TestReference(t *testing.T) {
	withSplit := func(t *testing.T) *Tokenizer {
		tok, err := patched(t, qwen2Split)
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	for fixture, open := range map[string]func(t *testing.T) *Tokenizer{
		"nano":       func(t *testing.T) *Tokenizer { return load(t, nano) },
		"nano_qwen2": withSplit,
		"qwen2":      func(t *testing.T) *Tokenizer { return load(t, shared+"/qwen2.5-vl") },
	} {
		t.Run(fixture, func(t *testing.T) {
			compare(t, open(t), filepath.Join("testdata", fixture+".json"))
		})
	}
}

func compare(t *testing.T, tok *Tokenizer, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][3]json.RawMessage
	if err := json.Unmarshal(b, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 200 {
		t.Fatalf("%s has %d rows, want at least 200", path, len(rows))
	}
	for _, row := range rows {
		var text, decoded string
		var ids []int
		for i, to := range []any{&text, &ids, &decoded} {
			if err := json.Unmarshal(row[i], to); err != nil {
				t.Fatal(err)
			}
		}
		if got := tok.Encode(text); !slices.Equal(got, ids) {
			t.Errorf("Encode(%q)\n got %v\nwant %v", text, got, ids)
		}
		if got := tok.Decode(ids, true); got != decoded {
			t.Errorf("Decode of %q\n got %q\nwant %q", text, got, decoded)
		}
	}
}

// FuzzRoundTrip: decoding gives back the normalised text, whatever the bytes, and the scanner always moves on.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"", "a", "  x\n", "don't", "e\u0301", "\xff\xfe", "<|im_end|>", "\u4f60\u597d", "\xe4\xbd", "'\u017f", "!\r\n "} {
		f.Add(s)
	}
	gpt2 := load(f, nano)
	qwen2, err := patched(f, qwen2Split)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		raw := func(tok *Tokenizer) string {
			var b strings.Builder
			for _, id := range tok.Encode(s) {
				b.WriteString(tok.Token(id))
			}
			return b.String()
		}
		if got := raw(gpt2); got != s {
			t.Errorf("GPT-2: got %q, want %q", got, s)
		}
		if got := raw(qwen2); !strings.Contains(s, "<") && got != norm.NFC.String(s) {
			t.Errorf("Qwen2: got %q, want %q", got, norm.NFC.String(s))
		}
		if got := gpt2.Decode(gpt2.Encode(s), false); !utf8.ValidString(got) || utf8.ValidString(s) && got != s {
			t.Errorf("Decode: got %q, want %q", got, s)
		}
	})
}

// TestMergeForms: the heap and the quadratic scan are two forms of one rule.
func TestMergeForms(t *testing.T) {
	tok := load(t, nano)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		ids := make([]int32, 1+rng.IntN(90))
		for i := range ids {
			ids[i] = tok.byteID["aeinorst ab"[rng.IntN(11)]]
		}
		short, long := tok.mergeShort(slices.Clone(ids)), tok.mergeLong(slices.Clone(ids))
		if !slices.Equal(short, long) {
			t.Fatalf("%v: quadratic %v, heap %v", ids, short, long)
		}
	}
}

func TestTokens(t *testing.T) {
	tok := load(t, nano)
	if got, want := tok.Size(), 6409; got != want {
		t.Errorf("Size: got %d, want %d", got, want)
	}
	for text, want := range map[string]int{"<|endoftext|>": 0, "<|im_end|>": 2, "<|image_pad|>": 6403, "</answer>": 6408} {
		if id, ok := tok.ID(text); !ok || id != want || tok.Token(id) != text {
			t.Errorf("ID(%q): got %d, %t, want %d; back %q", text, id, ok, want, tok.Token(id))
		}
	}
	for id := range tok.Size() {
		if back, ok := tok.ID(tok.Token(id)); !ok || back != id {
			t.Errorf("id %d is %q, which is id %d, %t", id, tok.Token(id), back, ok)
		}
	}
	if id, ok := tok.ID("<|box_start|>"); ok {
		t.Errorf("ID of an absent token: got %d", id)
	}
	if got := tok.Token(-1) + tok.Token(99999) + tok.Decode([]int{-1, 99999}, false); got != "" {
		t.Errorf("ids that do not exist: got %q, want nothing", got)
	}
	if got := len(tok.SpecialTokens()); got != 8 {
		t.Errorf("special tokens: got %d, want 8 (<think> and <answer> are text)", got)
	}
	if got, want := tok.Decode(tok.Encode("<|im_start|>a<answer>b<|im_end|>"), true), "a<answer>b"; got != want {
		t.Errorf("Decode without special tokens: got %q, want %q", got, want)
	}
}

// TestDecodeBroken: what a sampled sequence of bytes decodes to follows Rust's from_utf8_lossy.
func TestDecodeBroken(t *testing.T) {
	for s, want := range map[string]string{
		"\xe4\xbd":             "\ufffd",                   // cut off: one part
		"\xe4\xbd\xe4\xbd\xa0": "\ufffd\u4f60",             // one part, then a rune
		"\xff\xff":             "\ufffd\ufffd",             // no rune starts so: two parts
		"\xf0\x9f\x98":         "\ufffd",                   //
		"\xe0\x80\x80":         "\ufffd\ufffd\ufffd",       // overlong: no prefix of it is the start of a rune
		"\xed\xa0\x80":         "\ufffd\ufffd\ufffd",       // a surrogate
		"\xf4\x90\x80\x80":     "\ufffd\ufffd\ufffd\ufffd", // beyond U+10FFFF
		"a\xf0\x9fb":           "a\ufffdb",
	} {
		if got := replaceInvalid(s); got != want {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

func TestClone(t *testing.T) {
	tok := load(t, nano)
	text := "clones share tables, not caches"
	want := tok.Encode(text)
	done := make(chan []int)
	for range 4 {
		c := tok.Clone()
		go func() { done <- c.Encode(text) }()
	}
	for range 4 {
		if got := <-done; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	set := func(key string, value any) func(f map[string]any) { return func(f map[string]any) { f[key] = value } }
	model := func(key string, value any) func(f map[string]any) {
		return func(f map[string]any) { f["model"].(map[string]any)[key] = value }
	}
	component := func(kv ...any) map[string]any {
		m := map[string]any{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i].(string)] = kv[i+1]
		}
		return m
	}
	first := func(f map[string]any) map[string]any { return f["added_tokens"].([]any)[0].(map[string]any) }
	for _, c := range []struct {
		edit func(f map[string]any)
		want string
	}{
		{set("normalizer", component("type", "NFKC")), "normalizer: got NFKC"},
		{set("pre_tokenizer", component("type", "Metaspace")), "pre_tokenizer: got Metaspace"},
		{set("pre_tokenizer", component("type", "ByteLevel", "use_regex", true, "add_prefix_space", true)), "add_prefix_space true"},
		{set("pre_tokenizer", component("type", "ByteLevel", "use_regex", false)), "use_regex false"},
		{set("pre_tokenizer", nil), "pre_tokenizer: got null"},
		{func(f map[string]any) {
			qwen2Split(f)
			split := f["pre_tokenizer"].(map[string]any)["pretokenizers"].([]any)[0].(map[string]any)
			split["pattern"] = component("Regex", strings.Replace(qwen2Pattern, `\p{N}|`, `\p{N}{1,3}|`, 1)) // Llama 3
		}, `\\p{N}{1,3}`},
		{set("post_processor", component("type", "TemplateProcessing")), "post_processor: got TemplateProcessing"},
		{set("decoder", nil), "decoder: got null"},
		{set("truncation", component("max_length", 8)), "truncation"},
		{set("padding", component("length", 8)), "padding"},
		{model("type", "Unigram"), `model.type: got "Unigram"`},
		{model("ignore_merges", true), "ignore_merges"},
		{model("byte_fallback", true), "byte_fallback"},
		{model("unk_token", "<unk>"), "unk_token"},
		{model("dropout", 0.1), "dropout"},
		{model("merges", []any{"a qqqq"}), "model.merges[0]"},
		{model("vocab", component("a", 0, "b", 0)), "same id 0"},
		{model("vocab", component("a", -1)), "got id -1"},
		{model("vocab", component("a", 0)), "byte 0x00 has no token"},
		{func(f map[string]any) { first(f)["lstrip"] = true }, "lstrip"},
		{func(f map[string]any) { first(f)["content"] = "" }, "empty content"},
		{func(f map[string]any) { first(f)["id"] = 7 }, "<|endoftext|>"},
		{func(f map[string]any) { qwen2Split(f); first(f)["normalized"] = true }, "normalized"},
	} {
		_, err := patched(t, c.edit)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want one with %q", err, c.want)
		}
	}
	if _, err := Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "tokenizer.json") {
		t.Errorf("absent file: got %v", err)
	}
	if _, err := parse(bytes.Repeat([]byte("{"), 3)); err == nil {
		t.Error("broken JSON loads")
	}
}

func BenchmarkEncode(b *testing.B) {
	text, err := os.ReadFile("load.go")
	if err != nil {
		b.Fatal(err)
	}
	for name, dir := range map[string]string{"nano": nano, "qwen2": shared + "/qwen2.5-vl"} {
		b.Run(name, func(b *testing.B) {
			tok := load(b, dir)
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				tok.Encode(string(text))
			}
		})
	}
}
