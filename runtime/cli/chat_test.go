package cli

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// pieces is a vocabulary in which characters are split: every token is a stretch of bytes, as in byte-level vocabularies.
func pieces(texts ...string) func(tokens []int) string {
	return func(tokens []int) string {
		var b strings.Builder
		for _, id := range tokens {
			b.WriteString(texts[id])
		}
		return strings.ToValidUTF8(b.String(), "\uFFFD")
	}
}

// writes keeps every write on its own.
type writes []string

func (w *writes) Write(p []byte) (int, error) {
	if len(p) > 0 {
		*w = append(*w, string(p))
	}
	return len(p), nil
}

func TestStreamHoldsBackHalfCharacters(t *testing.T) {
	var got writes
	s := &stream{to: &got, decode: pieces("caf", "\xc3", "\xa9 ", "\xf0\x9f", "\x98", "\x80", "\xe2\x82")}
	for id := range 7 {
		if !s.token(id) {
			t.Fatal(s.err)
		}
	}
	if err := s.end(s.decode(s.tokens)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"caf", "é ", "😀", "\uFFFD", "\n"}; strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStreamShowsControlCharacters(t *testing.T) {
	var plain, terminal writes
	for _, s := range []*stream{{to: &plain}, {to: &terminal, tty: true}} {
		s.decode = pieces("a\x1b[2Jb\n\rc")
		s.token(0)
	}
	if got := strings.Join(plain, ""); got != "a\x1b[2Jb\n\rc" {
		t.Errorf("a file gets %q", got)
	}
	if got := strings.Join(terminal, ""); got != "a\uFFFD[2Jb\n\uFFFDc" {
		t.Errorf("a terminal gets %q", got)
	}
}

// full is a writer that has no room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestStreamThatCannotBeWrittenEnds(t *testing.T) {
	s := &stream{to: full{}, decode: pieces("a")}
	if s.token(0) || s.end("a") == nil {
		t.Error("an answer that nobody reads goes on")
	}
}

// Commands of the loop; questions need a policy and are tried by hand.
func TestLoop(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", "> \n"},
		{"\n/clear\n", "> > > \n"},
		{"/quit\nnever read\n", "> "},
		{"/image\n/quit\n", "> /image: name a file\n> "},
		{"/exit now\n/quit", "> no command /exit: there are /image FILE, /clear and /quit\n> "},
	} {
		var remarks strings.Builder
		c := &conversation{remarks: &remarks, answers: io.Discard}
		if err := c.loop(strings.NewReader(test.in)); err != nil {
			t.Errorf("%q: %v", test.in, err)
		}
		if _, got, _ := strings.Cut(remarks.String(), "\n"); got != test.want {
			t.Errorf("%q: got %q, want %q", test.in, got, test.want)
		}
	}
	broken := io.MultiReader(strings.NewReader("/clear\n"), errorReader{})
	if err := (&conversation{remarks: io.Discard}).loop(broken); err == nil || !strings.Contains(err.Error(), "read the question: broken") {
		t.Errorf("got %v", err)
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New("broken") }

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"5GB": 5e9, "500mb": 5e8, "1.5 kB": 1500, "5": 0, "0GB": 0, "GB": 0, "-1MB": 0, "5GiB": 0, "1e9GB": 0} {
		if got, err := parseSize(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%s: got %d, %v, want %d", text, got, err, want)
		}
	}
}
