package chat

import (
	"errors"
	"fmt"
	"strings"
)

// unlayout returns a template that renders the same without any white-space control: it applies Jinja's rules
// (trim_blocks, lstrip_blocks, the signs - and + inside a tag's ends, the last line break) to the text between the tags
// and removes the signs and the comments. The library's own rules differ: it also strips blanks between a text and the tag
// that follows on its line. Line breaks that are taken out of the text move into a comment before the next tag, so that
// line numbers stay.
//
// The tags generation and endgeneration, with which transformers marks what a model has written, are removed.
func unlayout(src string) (string, error) {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	src = strings.TrimSuffix(src, "\n")
	var out strings.Builder
	lines := 0 // line breaks to be put into a comment
	emit := func(kept, all string) {
		lines += strings.Count(all, "\n") - strings.Count(kept, "\n")
		out.WriteString(kept)
	}
	trimStart := "" // what to take from the start of the next text: "", "\n" (one) or " " (all)
	for pos := 0; ; {
		next := nextTag(src, pos)
		raw := src[pos:next]
		text := raw
		if trimStart == " " {
			text = strings.TrimLeft(text, space)
		} else if trimStart == "\n" {
			text = strings.TrimPrefix(text, "\n")
		}
		if next == len(src) {
			emit(text, raw)
			return out.String(), nil
		}
		t, err := readTag(src, next)
		if err != nil {
			return "", err
		}
		switch {
		case t.before == '-':
			text = strings.TrimRight(text, space)
		case t.before != '+' && t.kind != '{':
			text = leftStrip(text, pos == 0 || trimStart == "\n" && strings.HasPrefix(raw, "\n"))
		}
		emit(text, raw)
		pos, trimStart = t.end, ""
		if t.after == '-' {
			trimStart = " "
		} else if t.kind != '{' && t.after != '+' {
			trimStart = "\n"
		}
		name := strings.TrimSpace(t.body)
		switch {
		case t.kind == '#', t.kind == '%' && (name == "generation" || name == "endgeneration"):
			lines += strings.Count(src[next:t.end], "\n")
		case t.kind == '%' && name == "raw":
			content, end, err := readRaw(src, pos, trimStart)
			if err != nil {
				return "", err
			}
			out.WriteString("{% raw %}" + content + "{% endraw %}")
			lines += strings.Count(src[next:end.end], "\n") - strings.Count(content, "\n")
			pos, trimStart = end.end, "\n"
			if end.after == '-' {
				trimStart = " "
			} else if end.after == '+' {
				trimStart = ""
			}
		default:
			if hasPower(t.body) {
				return "", fmt.Errorf("line %d: the operator ** is not known here", 1+strings.Count(src[:next], "\n"))
			}
			t.body = unconditional(t.body)
			// The library takes a line break before the name of a block for the name.
			rest := strings.TrimLeft(t.body, space)
			lines += strings.Count(t.body, "\n") - strings.Count(rest, "\n")
			if lines > 0 {
				out.WriteString("{#" + strings.Repeat("\n", lines) + "#}")
				lines = 0
			}
			out.WriteString(src[next:next+2] + " " + rest + " " + closingOf[t.kind])
		}
	}
}

// leftStrip is lstrip_blocks: it takes the blanks between the start of a line and the block behind text. lineStarts tells
// that the text begins on a new line.
func leftStrip(text string, lineStarts bool) string {
	cut := strings.TrimRight(text, " \t\v\f")
	if strings.HasSuffix(cut, "\n") || cut == "" && lineStarts {
		return cut
	}
	return text
}

// space is what the sign - takes away.
const space = " \t\n\r\v\f"

// tag is {% body %}, {{ body }} or {# body #} with the signs inside its ends, 0 if there is none.
type tag struct {
	kind          byte // %, { or #
	before, after byte
	body          string
	end           int // of the tag in the template
}

// nextTag is where the next tag starts, or the end of src.
func nextTag(src string, from int) int {
	for i := from; i+1 < len(src); i++ {
		if src[i] == '{' && (src[i+1] == '%' || src[i+1] == '{' || src[i+1] == '#') {
			return i
		}
	}
	return len(src)
}

var closingOf = map[byte]string{'%': "%}", '{': "}}", '#': "#}"}

// readTag reads the tag at start. Its end inside a string does not count, nor does }} inside braces.
func readTag(src string, start int) (tag, error) {
	t := tag{kind: src[start+1]}
	closing := closingOf[t.kind]
	from := start + 2
	if from < len(src) && (src[from] == '-' || src[from] == '+' && t.kind != '{') {
		t.before = src[from]
		from++
	}
	depth := 0
	var quote byte
	for i := from; i+1 < len(src); i++ {
		c := src[i]
		switch {
		case t.kind != '#' && quote != 0:
			if c == '\\' {
				i++
			} else if c == quote {
				quote = 0
			}
		case t.kind != '#' && (c == '\'' || c == '"'):
			quote = c
		case depth == 0 && strings.HasPrefix(src[i:], closing):
			t.body, t.end = src[from:i], i+2
			if n := len(t.body) - 1; n >= 0 && (t.body[n] == '-' || t.body[n] == '+' && t.kind != '{') {
				t.after, t.body = t.body[n], t.body[:n]
			}
			return t, nil
		case t.kind != '#' && (c == '{' || c == '(' || c == '['):
			depth++
		case t.kind != '#' && (c == '}' || c == ')' || c == ']'):
			depth--
		}
	}
	return tag{}, fmt.Errorf("line %d: the tag that starts here has no end", 1+strings.Count(src[:start], "\n"))
}

// readRaw reads up to and with {% endraw %} and returns what is inside.
func readRaw(src string, from int, trimStart string) (string, tag, error) {
	for at := from; ; {
		k := strings.Index(src[at:], "{%")
		if k < 0 {
			return "", tag{}, errors.New("{% raw %} without {% endraw %}")
		}
		at += k
		t, err := readTag(src, at)
		if err != nil || strings.TrimSpace(t.body) != "endraw" {
			at += 2
			continue
		}
		content := src[from:at]
		if trimStart == " " {
			content = strings.TrimLeft(content, space)
		}
		if t.before == '-' {
			content = strings.TrimRight(content, space)
		}
		return content, t, nil
	}
}
