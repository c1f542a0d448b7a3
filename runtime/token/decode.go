package token

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// setDecoder reads what makes a text of tokens.
func (t *tables) setDecoder(f *file) error {
	parts, err := f.Decoder.parts("decoders")
	if err != nil {
		return fmt.Errorf("decoder: %w", err)
	}
	if t.byteLevel {
		if len(parts) != 1 || parts[0].Type != "ByteLevel" {
			return fmt.Errorf("decoder: got %s, want ByteLevel, as the pre_tokenizer is", f.Decoder)
		}
		t.decode = joinBytes
		return nil
	}
	if len(parts) == 0 {
		return errors.New("decoder: got null, want one")
	}
	var steps []func(tokens []string) []string
	for _, c := range parts {
		step, err := decoder(c)
		if err != nil {
			return fmt.Errorf("decoder: %w", err)
		}
		steps = append(steps, step)
	}
	t.decode = chain(steps)
	return nil
}

func decoder(c *component) (func(tokens []string) []string, error) {
	switch c.Type {
	case "Replace":
		var r struct {
			Type    string
			Pattern pattern
			Content string
		}
		if err := c.into(&r); err != nil {
			return nil, err
		}
		from, err := r.Pattern.literal()
		return replace(from, r.Content), err
	case "ByteFallback":
		return fallback, c.into(&struct{ Type string }{})
	case "Fuse":
		return fuse, c.into(&struct{ Type string }{})
	case "Strip":
		var s struct {
			Type, Content string
			Start, Stop   int
		}
		err := c.into(&s)
		return strip(s.Content, s.Start, s.Stop), err
	case "Metaspace":
		m, err := readMetaspace(c)
		return metaspaces(m.Replacement, m.PrependScheme != "never"), err
	case "WordPiece":
		var w struct {
			Type, Prefix string
			Cleanup      bool
		}
		err := c.into(&w)
		return wordPiece(w.Prefix, w.Cleanup), err
	}
	return nil, fmt.Errorf("got %s, want ByteLevel, WordPiece, Metaspace, Replace, ByteFallback, Fuse, Strip or a Sequence", c)
}

// joinBytes is the ByteLevel decoder: tokens are bytes.
func joinBytes(tokens []string) string { return replaceInvalid(strings.Join(tokens, "")) }

// chain returns a decoder that applies steps to the tokens one after the other and joins what comes out.
func chain(steps []func(tokens []string) []string) func(tokens []string) string {
	return func(tokens []string) string {
		for _, step := range steps {
			tokens = step(tokens)
		}
		return strings.Join(tokens, "")
	}
}

// replace returns the Replace step.
func replace(pattern, content string) func(tokens []string) []string {
	return func(tokens []string) []string {
		for i := range tokens {
			tokens[i] = strings.ReplaceAll(tokens[i], pattern, content)
		}
		return tokens
	}
}

func fuse(tokens []string) []string { return []string{strings.Join(tokens, "")} }

// strip returns the Strip step, which takes at most start blanks from the start and stop from the end of each token.
func strip(content string, start, stop int) func(tokens []string) []string {
	return func(tokens []string) []string {
		for i, s := range tokens {
			for range start {
				s = strings.TrimPrefix(s, content)
			}
			for range stop {
				s = strings.TrimSuffix(s, content)
			}
			tokens[i] = s
		}
		return tokens
	}
}

// fallback is the ByteFallback step: a run of byte tokens such as <0xE4><0xBD><0xA0> becomes the text that it encodes,
// or one U+FFFD for each of its bytes if that is no UTF-8.
func fallback(tokens []string) []string {
	var out []string
	var run []byte
	flush := func() {
		if utf8.Valid(run) {
			out = append(out, string(run))
		} else {
			out = append(out, strings.Repeat("\ufffd", len(run)))
		}
		run = run[:0]
	}
	for _, token := range tokens {
		if b, ok := byteToken(token); ok {
			run = append(run, b)
			continue
		}
		flush()
		out = append(out, token)
	}
	flush()
	return out
}

// byteToken returns the byte that a token such as <0x0A> stands for.
func byteToken(token string) (byte, bool) {
	if len(token) != len("<0x00>") || !strings.HasPrefix(token, "<0x") || token[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(b), err == nil
}

// metaspaces returns the Metaspace step: the sign for a blank becomes one, but in the first token nothing if the
// pre-tokenizer may have put it there.
func metaspaces(sign string, prepended bool) func(tokens []string) []string {
	return func(tokens []string) []string {
		for i := range tokens {
			blank := " "
			if i == 0 && prepended {
				blank = ""
			}
			tokens[i] = strings.ReplaceAll(tokens[i], sign, blank)
		}
		return tokens
	}
}

// untidy are the blanks that WordPiece's cleanup takes out of each token, in this order.
var untidy = [...][2]string{
	{" .", "."}, {" ?", "?"}, {" !", "!"}, {" ,", ","}, {" ' ", "'"}, {" n't", "n't"}, {" 'm", "'m"}, {" do not", " don't"},
	{" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
}

// wordPiece returns the WordPiece step: tokens that continue a word lose their prefix, the others get a blank.
func wordPiece(prefix string, cleanup bool) func(tokens []string) []string {
	return func(tokens []string) []string {
		for i, token := range tokens {
			if i > 0 {
				rest, ok := strings.CutPrefix(token, prefix)
				if token = rest; !ok {
					token = " " + rest
				}
			}
			if cleanup {
				for _, u := range untidy {
					token = strings.ReplaceAll(token, u[0], u[1])
				}
			}
			tokens[i] = token
		}
		return tokens
	}
}

// replaceInvalid replaces every maximal broken part of a rune by one U+FFFD, as Rust's from_utf8_lossy does
// (Unicode's recommended practice, section 3.9): the first bytes of a rune that is cut off are one part, not several.
func replaceInvalid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r != utf8.RuneError || n > 1 {
			b.WriteString(s[i : i+n])
			i += n
			continue
		}
		b.WriteRune(utf8.RuneError)
		i += brokenPrefix(s[i:])
	}
	return b.String()
}

// brokenPrefix is the length of the longest start of s that more bytes could complete to a rune, at least 1. s does
// not start with a whole rune.
func brokenPrefix(s string) int {
	n := 1
	for n < len(s) && !utf8.FullRuneInString(s[:n+1]) {
		n++
	}
	return n
}
