package train

import "testing"

// Every token stands at one place, and sees there the prompt and its own completion as far as itself: of a prompt that is cut into
// windows, of completions of which nothing is fed, and of one that is longer than the prompt.
func TestBranch(t *testing.T) {
	for name, c := range map[string]struct {
		prompt int
		fed    []int
	}{
		"cut prompt":         {150, []int{70, 3, 0, 20}},
		"short prompt":       {2, []int{5, 9}},
		"nothing but prompt": {7, []int{0, 0}},
	} {
		b := branch(c.prompt, c.fed)
		keys := c.prompt + b.places
		used := map[int64]bool{}
		token := 0
		check := func(first, n int, ofPrompt func(j int) int, own bool) {
			for j := range n {
				place := b.place[token]
				if b.index[place] != int64(token) || used[place] {
					t.Errorf("%s: token %d stands at place %d, where token %d stands", name, token, place, b.index[place])
				}
				used[place] = true
				row := b.mask[int(place)*keys:][:keys]
				for k, m := range row {
					sees := k < ofPrompt(j)
					if k >= c.prompt && own { // the key at a place of this window
						key := int(b.index[int(place)/b.places*b.places+k-c.prompt])
						sees = k-c.prompt <= int(place)%b.places && key >= first && key <= token
					}
					if (m == 0) != sees {
						t.Fatalf("%s: token %d, key %d: mask %v, want visible %v", name, token, k, m, sees)
					}
				}
				token++
			}
		}
		check(0, c.prompt, func(j int) int { return j + 1 }, false)
		for _, n := range c.fed {
			check(token, n, func(int) int { return c.prompt }, true)
		}
		if token != len(b.place) {
			t.Errorf("%s: %d tokens have places, want %d", name, len(b.place), token)
		}
		for place := range b.windows * b.places {
			if row := b.mask[place*keys:][:keys]; !used[int64(place)] && row[0] != 0 {
				t.Errorf("%s: place %d sees nothing", name, place)
			}
		}
	}
}
