package spec

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// nearest returns the candidate with the fewest edits from word, "" if none is near (see slack).
func nearest(word string, candidates []string) string { return within(slack(word), word, candidates) }

// slack is how many edits a misspelling of word may have: 1 in up to 3 letters, 2 in up to 8 (exchanged letters count as 2), else 3.
func slack(word string) int {
	switch {
	case len(word) <= 3:
		return 1
	case len(word) <= 8:
		return 2
	}
	return 3
}

func within(limit int, word string, candidates []string) string {
	best := ""
	for _, c := range candidates {
		if d := levenshtein.ComputeDistance(strings.ToLower(word), strings.ToLower(c)); d <= limit {
			best, limit = c, d-1
		}
	}
	return best
}

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", name)
}

// suggestKey finds what the unknown key of a block may have meant: a key of the same block, else one of that name anywhere
// in the schema, else a near one anywhere.
func (s *shape) suggestKey(key string) string {
	if n := nearest(key, s.names()); n != "" {
		return didYouMean(n)
	}
	var names []string
	where := map[string]string{}
	s.root.walk("", func(path string, f *field) {
		if _, seen := where[f.name]; !seen {
			where[f.name] = path
			names = append(names, f.name)
		}
	})
	if path, ok := where[key]; ok {
		return didYouMean(path)
	}
	if n := within(slack(key)-1, key, names); n != "" { // there are many names: an accident is near sooner
		return didYouMean(where[n])
	}
	return ""
}
