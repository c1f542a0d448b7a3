package weights

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Byte order is little-endian by the format. The loops below go through encoding/binary, which the compiler turns into
// plain loads and stores, so they need no alignment: files of old writers have none.

func fromF32(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
	}
}

// fromBF16 widens exactly: a bfloat16 is the upper half of a float32.
func fromBF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
	}
}

func fromF16(dst []float32, src []byte) {
	for i := range dst {
		dst[i] = widenF16(binary.LittleEndian.Uint16(src[2*i:]))
	}
}

// widenF16 converts an IEEE 754 binary16 exactly: 1 sign bit, 5 of exponent with bias 15, 10 of mantissa.
func widenF16(h uint16) float32 {
	sign, exponent, mantissa := uint32(h>>15)<<31, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exponent {
	case 0: // zero or subnormal: mantissa * 2^-24, exact in float32
		v := float32(mantissa) * (1.0 / (1 << 24))
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 0x1f: // infinity, or NaN with its payload
		return math.Float32frombits(sign | 0xff<<23 | mantissa<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | mantissa<<13)
}

// narrowBF16 rounds to the nearest bfloat16, ties to even. A NaN stays one: rounding could carry it to infinity or zero.
// A finite value beyond the largest bfloat16 becomes infinite.
func narrowBF16(v float32) uint16 {
	b := math.Float32bits(v)
	if v != v {
		return uint16(b>>16) | 0x40 // quiet
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// CheckFinite returns an error that names the tensor and the first index whose value is NaN or infinite, nil if there is
// none.
func CheckFinite(name string, data []float32) error {
	for i, v := range data {
		if v-v != 0 { // true for NaN and both infinities alone
			return fmt.Errorf("weights: tensor %s: element %d of %d is %v", name, i, len(data), v)
		}
	}
	return nil
}
