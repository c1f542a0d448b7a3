package token

import "slices"

// quadraticBelow is the word length in bytes up to which rescanning all pairs beats a heap. (measured: 16 to 48 bytes
// are level, longer words favour the heap; an 80 kB word takes 19 ms with it.)
const quadraticBelow = 48

func pairKey(left, right int32) uint64 { return uint64(left)<<32 | uint64(right) }

// merge applies the merges to ids in place, lowest rank first and leftmost among equals, and returns what remains.
func (t *tables) merge(ids []int32) []int32 {
	if len(ids) <= quadraticBelow {
		return t.mergeShort(ids)
	}
	return t.mergeLong(ids)
}

func (t *tables) mergeShort(ids []int32) []int32 {
	for len(ids) > 1 {
		best, where := merge{}, -1
		for i := range len(ids) - 1 {
			if m, ok := t.merges[pairKey(ids[i], ids[i+1])]; ok && (where < 0 || m.rank < best.rank) {
				best, where = m, i
			}
		}
		if where < 0 {
			break
		}
		ids[where] = best.id
		ids = slices.Delete(ids, where+1, where+2)
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
		if m, ok := t.merges[pairKey(left, right)]; ok {
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
