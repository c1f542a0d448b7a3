package chat

import (
	"fmt"
	"strings"

	"github.com/nikolalohinski/gonja/v2/exec"
)

// pySpace is what Python takes for white space, nearly all of which Unicode does, too.
const pySpace = " \t\n\r\v\f\x1c\x1d\x1e\x1f\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a" +
	"\u2028\u2029\u202f\u205f\u3000"

// stringMethods are the methods of Python's str that chat templates use. The library's own differ from Python's: strip at
// one end takes blanks only, split() cuts at each blank, replace wants a count. One that is not here is an error.
var stringMethods = exec.NewMethodSet(map[string]exec.Method[string]{
	"strip":      trimming(strings.Trim),
	"lstrip":     trimming(strings.TrimLeft),
	"rstrip":     trimming(strings.TrimRight),
	"upper":      plain(strings.ToUpper),
	"lower":      plain(strings.ToLower),
	"capitalize": plain(capitalize),
	"startswith": affix(strings.HasPrefix),
	"endswith":   affix(strings.HasSuffix),
	"removeprefix": func(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
		s, err := texts("removeprefix", args, 1, 1)
		return strings.TrimPrefix(self, first(s)), err
	},
	"removesuffix": func(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
		s, err := texts("removesuffix", args, 1, 1)
		return strings.TrimSuffix(self, first(s)), err
	},
	"find": func(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
		s, err := texts("find", args, 1, 1)
		at := strings.Index(self, first(s))
		if at > 0 {
			at = len([]rune(self[:at]))
		}
		return at, err
	},
	"replace": func(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
		count, args := number(args, 2)
		s, err := texts("replace", args, 2, 2)
		if err != nil {
			return nil, err
		}
		return strings.Replace(self, s[0], s[1], count), nil
	},
	"split": func(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
		count, args := number(args, 1)
		s, err := texts("split", args, 0, 1)
		switch {
		case err != nil:
			return nil, err
		case len(s) == 1 && s[0] == "":
			return nil, fmt.Errorf("split: empty separator")
		case len(s) == 1 && count >= 0:
			return list(strings.SplitN(self, s[0], count+1)), nil
		case len(s) == 1:
			return list(strings.Split(self, s[0])), nil
		}
		return list(strings.FieldsFunc(self, func(r rune) bool { return strings.ContainsRune(pySpace, r) })), nil
	},
})

func plain(f func(s string) string) exec.Method[string] {
	return func(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
		_, err := texts("this method", args, 0, 0)
		return f(self), err
	}
}

func capitalize(s string) string {
	runes := []rune(s)
	if len(runes) == 0 {
		return ""
	}
	return strings.ToUpper(string(runes[:1])) + strings.ToLower(string(runes[1:]))
}

func trimming(f func(s, cutset string) string) exec.Method[string] {
	return func(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
		s, err := texts("strip", args, 0, 1)
		if len(s) == 0 {
			return f(self, pySpace), err
		}
		return f(self, s[0]), err
	}
}

// affix takes a text, or a tuple of texts of which one must match.
func affix(f func(s, affix string) bool) exec.Method[string] {
	return func(self string, _ *exec.Value, args *exec.VarArgs) (any, error) {
		if len(args.Args) == 1 && args.Args[0].IsList() {
			for i := range args.Args[0].Len() {
				if f(self, args.Args[0].Index(i).String()) {
					return true, nil
				}
			}
			return false, nil
		}
		s, err := texts("startswith or endswith", args, 1, 1)
		return err == nil && f(self, first(s)), err
	}
}

// texts returns the arguments, from least to most strings without names.
func texts(method string, args *exec.VarArgs, least, most int) ([]string, error) {
	var out []string
	for _, a := range args.Args {
		if !a.IsString() {
			return nil, fmt.Errorf("%s: got the argument %s, want a string", method, a.String())
		}
		out = append(out, a.String())
	}
	if len(args.KwArgs) > 0 || len(out) < least || len(out) > most {
		return nil, fmt.Errorf("%s: got %d arguments and %d with names, want %d to %d and 0", method, len(out), len(args.KwArgs),
			least, most)
	}
	return out, nil
}

// number takes the whole number at place i from the arguments; -1 if there is none.
func number(args *exec.VarArgs, i int) (int, *exec.VarArgs) {
	if len(args.Args) != i+1 || !args.Args[i].IsInteger() {
		return -1, args
	}
	return args.Args[i].Integer(), &exec.VarArgs{Args: args.Args[:i], KwArgs: args.KwArgs}
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

func list(s []string) []any {
	out := make([]any, len(s))
	for i := range s {
		out[i] = s[i]
	}
	return out
}
