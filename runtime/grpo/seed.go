package grpo

import (
	"encoding/binary"
)

// Stream yields the uniforms of one completion. It is a value; copies are equal and any position can be asked for in
// any order, so sampling does not depend on batch size, order, worker count or restart (design D5).
type Stream struct{ key uint64 }

// NewStream keys a stream by run seed, example id and completion index (0-based inside the group). Different prompts,
// completions or seeds give unrelated streams; in particular nothing is derived from a worker or a row number, the bug
// of sharing noise between prompts in verl #6857 and verl-omni #561.
//
// The key absorbs, in this order, the seed, the id in little-endian 8-byte words (the last one zero-padded), the id's
// length in bytes and the completion index, each by key = mix(key xor word) + golden. mix is SplitMix64's finaliser
// (Steele, Lea and Flood 2014; David Stafford's variant 13): a bijection, so two keys that differ in one word only
// never collide, and as a counter hash it passes BigCrush. The law is part of a run's identity: a change to it needs a
// new numerics version.
func NewStream(seed uint64, exampleID string, completion int) Stream {
	key := absorb(golden, seed)
	id := []byte(exampleID)
	for len(id) >= 8 {
		key = absorb(key, binary.LittleEndian.Uint64(id))
		id = id[8:]
	}
	var last [8]byte
	copy(last[:], id)
	key = absorb(key, binary.LittleEndian.Uint64(last[:]))
	key = absorb(key, uint64(len(exampleID)))
	return Stream{absorb(key, uint64(completion))}
}

// Uniform returns the uniform of the token at a 0-based position of the completion: an odd multiple of 2^-24, so strictly
// between 0 and 1 (inverse-CDF sampling could draw a token of probability 0 at 0) and exact in float32.
func (s Stream) Uniform(position int) float32 {
	return float32(s.Bits(position)>>40|1) * 0x1p-24
}

// Bits returns the 64 random bits at a 0-based position.
func (s Stream) Bits(position int) uint64 { return mix(s.key + golden*uint64(position+1)) }

// Uniform is NewStream(seed, exampleID, completion).Uniform(position): the seed law in one call.
func Uniform(seed uint64, exampleID string, completion, position int) float32 {
	return NewStream(seed, exampleID, completion).Uniform(position)
}

const golden = 0x9e3779b97f4a7c15 // 2^64 / golden ratio, SplitMix64's increment

func absorb(key, word uint64) uint64 {
	return mix(key^word) + golden
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
