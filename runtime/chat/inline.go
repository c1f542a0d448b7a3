package chat

import (
	"iter"
	"strings"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// inlineIf is the function that unconditional puts in place of a conditional expression.
const inlineIf = "inline_if"

func chooseInline(_ *exec.Evaluator, args *exec.VarArgs) *exec.Value {
	condition, yes, no := args.Args[0], args.Args[1], exec.AsValue(nil)
	if len(args.Args) > 2 {
		no = args.Args[2]
	}
	if condition.IsTrue() {
		return yes
	}
	return no
}

// unconditional rewrites the conditional expressions inside brackets, (A if C else B), which the library does not parse
// there, as inline_if(C, A, B). Both sides are evaluated, which only an exception in the other one would tell. Those
// outside of brackets the library knows.
func unconditional(body string) string {
	var out strings.Builder
	for i := 0; i < len(body); {
		end := skipString(body, i)
		if end > i {
			out.WriteString(body[i:end])
			i = end
			continue
		}
		out.WriteByte(body[i])
		if strings.IndexByte("([{", body[i]) >= 0 {
			end := closing(body, i)
			for k, item := range splitTop(body[i+1:end], ',') {
				if k > 0 {
					out.WriteByte(',')
				}
				out.WriteString(unconditionalItem(item))
			}
			i = end
			continue
		}
		i++
	}
	return out.String()
}

// unconditionalItem rewrites one item between brackets and commas: NAME= or KEY: and an expression.
func unconditionalItem(item string) string {
	before, rest, ok := cutWord(item, "if")
	if !ok {
		return unconditional(item)
	}
	name := ""
	if parts := splitTop(before, ':'); len(parts) == 2 {
		name, before = unconditional(parts[0])+":", parts[1]
	} else if parts := splitTop(before, '='); len(parts) == 2 {
		name, before = parts[0]+"=", parts[1]
	}
	condition, alternative, ok := cutWord(rest, "else")
	out := name + " " + inlineIf + "(" + unconditional(condition) + "," + unconditional(before)
	if ok {
		out += "," + unconditionalItem(alternative)
	}
	return out + ")"
}

// skipString is the end of the string literal at i, and i if there is none.
func skipString(s string, i int) int {
	if s[i] != '\'' && s[i] != '"' {
		return i
	}
	for k := i + 1; k < len(s); k++ {
		if s[k] == '\\' {
			k++
		} else if s[k] == s[i] {
			return k + 1
		}
	}
	return len(s)
}

// closing is where the bracket at i is closed, or the end of s.
func closing(s string, i int) int {
	depth := 0
	for i < len(s) {
		if end := skipString(s, i); end > i {
			i = end
			continue
		}
		switch s[i] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth--; depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

// outside yields where the bytes of s are that stand outside of brackets and strings.
func outside(s string) iter.Seq[int] {
	return func(yield func(i int) bool) {
		for i := 0; i < len(s); i++ {
			if end := skipString(s, i); end > i {
				i = end - 1
			} else if strings.IndexByte("([{", s[i]) >= 0 {
				i = closing(s, i)
			} else if !yield(i) {
				return
			}
		}
	}
}

// splitTop splits s at each sep outside of brackets and strings; == and != are no =.
func splitTop(s string, sep byte) []string {
	var parts []string
	start := 0
	for i := range outside(s) {
		compares := sep == '=' && (strings.HasPrefix(s[i+1:], "=") || i > 0 && strings.IndexByte("=!<>", s[i-1]) >= 0)
		if s[i] == sep && !compares {
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// hasPower tells whether an expression uses **, whose result the library makes a float.
func hasPower(s string) bool {
	for i := 0; i < len(s); i++ {
		if end := skipString(s, i); end > i {
			i = end - 1
		} else if strings.HasPrefix(s[i:], "**") {
			return true
		}
	}
	return false
}

// cutWord cuts s around the first keyword that stands outside of brackets and strings.
func cutWord(s, word string) (before, after string, ok bool) {
	isName := func(i int) bool {
		return i >= 0 && i < len(s) && (s[i] == '_' || s[i] >= '0' && s[i] <= '9' || s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z')
	}
	for i := range outside(s) {
		if strings.HasPrefix(s[i:], word) && !isName(i-1) && !isName(i+len(word)) {
			return s[:i], s[i+len(word):], true
		}
	}
	return s, "", false
}
