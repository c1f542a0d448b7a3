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

// nanoFile is the nano tokenizer's JSON.
func nanoFile(tb testing.TB) map[string]any {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join(nano, "tokenizer.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var f map[string]any
	if err := json.Unmarshal(b, &f); err != nil {
		tb.Fatal(err)
	}
	return f
}

// patched loads the nano tokenizer after edit has changed its JSON.
func patched(tb testing.TB, edit func(f map[string]any)) (*Tokenizer, error) {
	tb.Helper()
	f := nanoFile(tb)
	edit(f)
	return parsed(f)
}

func parsed(f map[string]any) (*Tokenizer, error) {
	b, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	t, err := parse(b)
	if err != nil {
		return nil, err
	}
	return (&Tokenizer{tables: t}).Clone(), nil
}

// qwen2Split puts Qwen2's pipeline in place of the nano tokenizer's.
func qwen2Split(f map[string]any) {
	f["normalizer"] = map[string]any{"type": "NFC"}
	f["pre_tokenizer"] = map[string]any{"type": "Sequence", "pretokenizers": []any{
		map[string]any{"type": "Split", "pattern": map[string]any{"Regex": splitPattern(`\p{N}`)}, "behavior": "Isolated", "invert": false},
		map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
	}}
}

// FuzzRoundTrip: the bytes of the ids are the bytes of the text, normalised where the tokenizer does that, whatever the
// bytes; the text decodes to itself; and no tokenizer panics or forgets the text's end.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"", "a", "  x\n", "don't", "e\u0301", "\xff\xfe", "<|im_end|>", "\u4f60\u597d", "\xe4\xbd", "'\u017f", "!\r\n ",
		"a" + strings.Repeat("\u0301\u0323", 20), "a  [MASK] word", "\u2581 <s>", "#" + strings.Repeat("ab", 60)} {
		f.Add(s)
	}
	byName := map[string]*Tokenizer{}
	for _, name := range []string{"nano", "nano_qwen2", "nano_llama3", "nano_smollm", "nano_modernbert", "llama2", "unk", "wordpiece"} {
		var fix fixture
		readFixture(f, name, &fix)
		byName[name] = fix.open(f, name)
	}
	byName["sp"] = loadModel(f, "sp_fallback", "")
	f.Fuzz(func(t *testing.T, s string) {
		for name, tok := range byName {
			ids := tok.Encode(s)
			var b strings.Builder
			for _, id := range ids {
				b.WriteString(tok.Token(id))
			}
			raw, text := b.String(), tok.Decode(ids, false)
			if !utf8.ValidString(text) {
				t.Errorf("%s: %q decodes to %q, which is no UTF-8", name, s, text)
			}
			switch name {
			case "nano", "nano_llama3", "nano_smollm":
				if raw != s || utf8.ValidString(s) && text != s {
					t.Errorf("%s: %q has the bytes %q and decodes to %q", name, s, raw, text)
				}
			case "nano_qwen2":
				if !strings.Contains(s, "<") && nfc(raw) != nfc(s) {
					t.Errorf("%s: got %q, want %q", name, raw, nfc(s))
				}
			case "llama2", "sp":
				if utf8.ValidString(s) && !strings.ContainsAny(s, "<\u2581") && text != s {
					t.Errorf("%s: %q decodes to %q", name, s, text)
				}
			}
		}
	})
}

// TestNFC: the rules without bound give what x/text gives within its own.
func TestNFC(t *testing.T) {
	for _, s := range readStrings(t) {
		if want := norm.NFC.String(s); !strings.Contains(want, "\u034f") && composed(s) != want {
			t.Errorf("%q: got %q, want %q", s, composed(s), want)
		}
	}
}

// TestMergeForms: the heap and the quadratic scan are two forms of one rule.
func TestMergeForms(t *testing.T) {
	tok := load(t, nano)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		ids := make([]int32, 1+rng.IntN(shortWord))
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
		{set("normalizer", component("type", "NFKC")), `normalizer: got {"type":"NFKC"}`},
		{set("normalizer", component("type", "Replace", "pattern", component("Regex", "a+"), "content", "b")), "pattern that is a String"},
		{set("normalizer", component("type", "NFC", "form", "D")), `normalizer: NFC: json: unknown field "form"`},
		{set("normalizer", component("type", "Sequence", "normalizers", []any{component("type", "Lowercase")})), `"Lowercase"`},
		{set("pre_tokenizer", component("type", "Whitespace")), `pre_tokenizer: got {"type":"Whitespace"}`},
		{set("pre_tokenizer", component("type", "Metaspace", "replacement", "_")), "want replacement \"\u2581\""},
		{set("pre_tokenizer", component("type", "ByteLevel", "use_regex", true, "add_prefix_space", true)), "add_prefix_space false"},
		{set("pre_tokenizer", component("type", "ByteLevel", "use_regex", false)), "which splits nothing"},
		{set("pre_tokenizer", nil), "decoder: got"},
		{set("pre_tokenizer", component("type", "Digits", "individual_digits", false)), "individual_digits true"},
		{set("pre_tokenizer", component("type", "Sequence", "pretokenizers", []any{nil})), "pretokenizers[0]: got null"},
		{func(f map[string]any) {
			qwen2Split(f)
			split := f["pre_tokenizer"].(map[string]any)["pretokenizers"].([]any)[0].(map[string]any)
			split["pattern"] = component("Regex", splitPattern(`\p{N}+`))
		}, `\\p{N}+`},
		{func(f map[string]any) {
			qwen2Split(f)
			f["pre_tokenizer"].(map[string]any)["pretokenizers"].([]any)[0].(map[string]any)["behavior"] = "Removed"
		}, `"behavior":"Removed"`},
		{set("post_processor", component("type", "TemplateProcessing")), "sequence A 0 times"},
		{set("post_processor", component("type", "TemplateProcessing", "single", []any{component("SpecialToken", component("id", "[CLS]"))})),
			"no token of special_tokens"},
		{set("post_processor", component("type", "Other")), `post_processor: got {"type":"Other"}`},
		{set("decoder", nil), "decoder: got null"},
		{set("decoder", component("type", "CTC")), `decoder: got {"type":"CTC"}`},
		{model("type", "Unigram"), `model.type: got "Unigram"`},
		{model("type", "WordPiece"), "want BertPreTokenizer with a WordPiece model"},
		{model("dropout", 0.1), "dropout"},
		{model("continuing_subword_prefix", "##"), "continuing_subword_prefix"},
		{model("end_of_word_suffix", "</w>"), "end_of_word_suffix"},
		{model("merges", []any{"a qqqq"}), "model.merges[0]"},
		{func(f map[string]any) { f["added_tokens"] = nil; model("vocab", component("a", 0, "b", 0))(f) }, "same id 0"},
		{func(f map[string]any) { f["added_tokens"] = nil; model("vocab", component("a", -1))(f) }, "got id -1"},
		{func(f map[string]any) { f["added_tokens"] = nil; model("vocab", component("a", 0))(f) }, "byte 0x00 has no token"},
		{func(f map[string]any) { first(f)["content"] = "" }, "added_tokens"},
		{func(f map[string]any) { first(f)["id"] = 7 }, "<|endoftext|>"},
		{func(f map[string]any) { l := f["added_tokens"].([]any); f["added_tokens"] = append(l, l[0]) }, "listed twice"},
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

// TestOtherFiles: vocab.json with merges.txt is the tokenizer that tokenizer.json is; tokenizer.model takes the tokens that
// tokenizer_config.json adds; what is not exact is refused.
func TestOtherFiles(t *testing.T) {
	f, dir := nanoFile(t), t.TempDir()
	vocab, err := json.Marshal(f["model"].(map[string]any)["vocab"])
	if err != nil {
		t.Fatal(err)
	}
	merges := "#version: 0.2\n"
	for _, m := range f["model"].(map[string]any)["merges"].([]any) {
		if s, ok := m.(string); ok {
			merges += s + "\n"
			continue
		}
		merges += m.([]any)[0].(string) + " " + m.([]any)[1].(string) + "\n"
	}
	write(t, filepath.Join(dir, "vocab.json"), vocab)
	write(t, filepath.Join(dir, "merges.txt"), []byte(merges))
	refused := func(config, want string) {
		t.Helper()
		write(t, filepath.Join(dir, "tokenizer_config.json"), []byte(config))
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want one with %q", config, err, want)
		}
	}
	refused(`{}`, `tokenizer_class: got ""`)
	refused(`{"tokenizer_class": "CodeGenTokenizer"}`, `got "CodeGenTokenizer"`)
	refused(`{"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": true}`, "add_prefix_space")
	write(t, filepath.Join(dir, "added_tokens.json"), []byte(`{}`))
	refused(`{"tokenizer_class": "Qwen2Tokenizer"}`, "added_tokens_decoder")

	config := `{"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": {"2": {"content": "<|im_end|>", "special": true}}}`
	write(t, filepath.Join(dir, "tokenizer_config.json"), []byte(config))
	want, err := patched(t, func(f map[string]any) { qwen2Split(f); f["added_tokens"] = f["added_tokens"].([]any)[2:3] })
	if err != nil {
		t.Fatal(err)
	}
	got := load(t, dir)
	for _, s := range readStrings(t) {
		if !slices.Equal(got.Encode(s), want.Encode(s)) {
			t.Errorf("%q: got %v, want %v", s, got.Encode(s), want.Encode(s))
		}
	}

	sp := loadModel(t, "sp_fallback", `{"added_tokens_decoder": {"900": {"content": "<img>", "special": true}}, "add_eos_token": true}`)
	ids := sp.EncodeWithSpecial("a<img>b")
	a, b := sp.Encode("a"), sp.Encode("b")
	if want := slices.Concat([]int{1}, a, []int{900}, b, []int{2}); !slices.Equal(ids, want) {
		t.Errorf("got %v, want %v", ids, want)
	}
	if got := sp.Decode(ids, true); got != "a b" {
		t.Errorf("got %q: each text between added tokens has its own blank", got)
	}
}

// BenchmarkEncode encodes text that is not in the cache yet, and BenchmarkLoad opens the file.
func BenchmarkEncode(b *testing.B) {
	var text strings.Builder // a few hundred kB of the repository's prose and code
	for _, pattern := range []string{"../*/*.go", "../../*.md", "../../*/*.md", "../../bench/*.py"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			b.Fatal(err)
		}
		for _, path := range paths {
			content, err := os.ReadFile(path)
			if err != nil {
				b.Fatal(err)
			}
			text.Write(content)
		}
	}
	for _, name := range []string{"nano", "qwen2.5-vl", "all-MiniLM-L6-v2", "llama2"} {
		b.Run(name, func(b *testing.B) {
			var f fixture
			readFixture(b, name, &f)
			tok := f.open(b, name)
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				tok.Clone().Encode(text.String())
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		load(b, shared+"/qwen2.5-vl")
	}
}
