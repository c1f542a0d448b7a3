package token

import (
	"math"
	"math/bits"
	"slices"
)

type merge struct{ rank, id int32 }

// none is the rank of a pair that does not merge.
const none = math.MaxInt32

// pairTable finds the merge of a pair of ids: open addressing with linear probing, at most a third full, because most
// look-ups find nothing. (measured: with a Go map, and with all pairs looked up after each merge, Encode took twice as long.)
type pairTable struct {
	slots []slot
	shift int // 64 - log2(len(slots))
}

type slot struct {
	pair uint64 // 0: empty
	merge
}

func newPairTable(n int) pairTable {
	size := bits.Len(uint(3 * n))
	return pairTable{make([]slot, 1<<size), 64 - size}
}

// pairKey is not 0 for ids from 0 on.
func pairKey(left, right int32) uint64 { return uint64(left+1)<<32 | uint64(right) }

// at returns the slot of a pair, or the empty one where it belongs.
func (t *pairTable) at(pair uint64) *slot {
	const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio: spreads consecutive keys
	for i := pair * golden >> t.shift; ; i = (i + 1) & uint64(len(t.slots)-1) {
		if s := &t.slots[i]; s.pair == pair || s.pair == 0 {
			return s
		}
	}
}

func (t *pairTable) set(left, right int32, m merge) {
	s := t.at(pairKey(left, right))
	s.pair, s.merge = pairKey(left, right), m
}

func (t *pairTable) get(left, right int32) merge {
	if s := t.at(pairKey(left, right)); s.pair != 0 {
		return s.merge
	}
	return merge{rank: none}
}

// shortWord is the word length in pieces up to which looking through all pairs for the next merge beats a heap.
// (measured: 16 to 48 are level, longer words favour the heap; an 80 kB word takes 19 ms with it.)
const shortWord = 48

// merge applies the merges to ids in place, lowest rank first and leftmost among equals, and returns what remains.
func (t *tables) merge(ids []int32) []int32 {
	if len(ids) <= shortWord {
		return t.mergeShort(ids)
	}
	return t.mergeLong(ids)
}

func (t *tables) mergeShort(ids []int32) []int32 {
	var merges [shortWord]merge // of each id and the next one
	for i := range len(ids) - 1 {
		merges[i] = t.merges.get(ids[i], ids[i+1])
	}
	for len(ids) > 1 {
		best := 0
		for i := 1; i < len(ids)-1; i++ {
			if merges[i].rank < merges[best].rank {
				best = i
			}
		}
		if merges[best].rank == none {
			break
		}
		ids[best] = merges[best].id
		ids = slices.Delete(ids, best+1, best+2)
		copy(merges[best:], merges[best+1:len(ids)])
		if best > 0 {
			merges[best-1] = t.merges.get(ids[best-1], ids[best])
		}
		if best+1 < len(ids) {
			merges[best] = t.merges.get(ids[best], ids[best+1])
		}
	}
	return ids
}

// mergeLong keeps the pieces in a linked list and the possible merges in a heap. An entry of the heap may be stale:
// its pieces may have been merged with others since, which left and right tell.
func (t *tables) mergeLong(ids []int32) []int32 {
	n := int32(len(ids))
	prev, next := make([]int32, n), make([]int32, n)
	for i := range n {
		prev[i], next[i] = i-1, i+1
	}
	var h heap
	push := func(at int32) {
		if at < 0 || next[at] >= n {
			return
		}
		left, right := ids[at], ids[next[at]]
		if m := t.merges.get(left, right); m.rank != none {
			h.push(candidate{m, at, left, right})
		}
	}
	for i := range n {
		push(i)
	}
	const gone = -1 // a piece that was merged into its left neighbour
	for len(h) > 0 {
		c := h.pop()
		right := next[c.at]
		if ids[c.at] != c.left || right >= n || ids[right] != c.right {
			continue
		}
		ids[c.at], ids[right] = c.id, gone
		next[c.at] = next[right]
		if next[right] < n {
			prev[next[right]] = c.at
		}
		push(prev[c.at])
		push(c.at)
	}
	out := ids[:0]
	for i := int32(0); i < n; i = next[i] {
		out = append(out, ids[i])
	}
	return out
}

// candidate is a merge of the pieces left and right, the first of which starts at byte at of the word.
type candidate struct {
	merge
	at, left, right int32
}

func (c candidate) before(d candidate) bool {
	return c.rank < d.rank || c.rank == d.rank && c.at < d.at
}

// heap is a binary heap of candidates, the next to apply first. container/heap would box each of them.
type heap []candidate

func (h *heap) push(c candidate) {
	s := append(*h, c)
	*h = s
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if !s[i].before(s[parent]) {
			return
		}
		s[i], s[parent] = s[parent], s[i]
		i = parent
	}
}

func (h *heap) pop() candidate {
	s := *h
	top, last := s[0], len(s)-1
	s[0] = s[last]
	s = s[:last]
	*h = s
	for i := 0; ; {
		child := 2*i + 1
		if child+1 < last && s[child+1].before(s[child]) {
			child++
		}
		if child >= last || !s[child].before(s[i]) {
			return top
		}
		s[i], s[child] = s[child], s[i]
		i = child
	}
}
