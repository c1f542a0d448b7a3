package graph

import (
	"fmt"
	"slices"
	"strings"
)

// Shape lists the dims of a tensor, outermost first. The shape of a scalar is empty.
type Shape []Dim

func (s Shape) String() string {
	parts := make([]string, len(s))
	for i, d := range s {
		parts[i] = d.String()
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// Equal reports whether both shapes have the same dims.
func (s Shape) Equal(t Shape) bool { return slices.Equal(s, t) }

// Ints returns the sizes and true if no dim is symbolic.
func (s Shape) Ints() ([]int, bool) {
	sizes := make([]int, len(s))
	for i, d := range s {
		n, ok := d.Int()
		if !ok {
			return nil, false
		}
		sizes[i] = n
	}
	return sizes, true
}

// Size returns the number of elements.
func (s Shape) Size() Dim {
	n := one
	for _, d := range s {
		n = n.Times(d)
	}
	return n
}

// shapeOf converts what API callers write for dims: int, string or Dim.
func shapeOf(dims []any) (Shape, error) {
	s := make(Shape, len(dims))
	for i, v := range dims {
		switch v := v.(type) {
		case Dim:
			s[i] = v
		case int:
			if v < 0 {
				return nil, fmt.Errorf("dim %d is %d, want a size >= 0", i, v)
			}
			s[i] = Const(v)
		case string:
			d, err := ParseDim(v)
			if err != nil {
				return nil, err
			}
			s[i] = d
		default:
			return nil, fmt.Errorf("dim %d is a %T, want int, string or graph.Dim", i, v)
		}
	}
	return s, nil
}

func constShape(sizes []int) Shape {
	s := make(Shape, len(sizes))
	for i, n := range sizes {
		s[i] = Const(n)
	}
	return s
}

// broadcast aligns shapes at the last dim, as NumPy does. Dims must be equal, or one of them the constant 1: a
// symbol never stretches, even if it may be 1 at run time.
func broadcast(a, b Shape) (Shape, bool) {
	if len(a) < len(b) {
		a, b = b, a
	}
	out := slices.Clone(a)
	for i, d := range b {
		j := len(a) - len(b) + i
		switch {
		case out[j] == d || d == one:
		case out[j] == one:
			out[j] = d
		default:
			return nil, false
		}
	}
	return out, true
}

// dimIndex counts a negative index from the end.
func dimIndex(dim, rank int) (int, bool) {
	if dim < 0 {
		dim += rank
	}
	return dim, 0 <= dim && dim < rank
}
