package train

import (
	"slices"

	"mixr/runtime/table"
)

// sliceTable gathers values by (task, source, component), in the order of first appearance of the sorted keys.
type sliceTable struct {
	keys   []sliceKey
	values map[sliceKey][]float64
	count  map[sliceKey]int
}

type sliceKey struct{ task, source, component string }

func newSlices() *sliceTable {
	return &sliceTable{values: map[sliceKey][]float64{}, count: map[sliceKey]int{}}
}

func (s *sliceTable) add(task, source, component string, v *float64) {
	k := sliceKey{task, source, component}
	if s.count[k] == 0 {
		s.keys = append(s.keys, k)
	}
	s.count[k]++
	if v != nil {
		s.values[k] = append(s.values[k], *v)
	}
}

// rows gives a row for each key of which at least one value applies, sorted by task, source and component.
func (s *sliceTable) rows(r *record) []table.Slice {
	slices.SortFunc(s.keys, func(a, b sliceKey) int {
		return slices.Compare([]string{a.task, a.source, a.component}, []string{b.task, b.source, b.component})
	})
	var out []table.Slice
	for _, k := range s.keys {
		v := s.values[k]
		if len(v) == 0 {
			continue
		}
		row := table.Slice{
			Step: r.metrics.Step, Task: k.task, Source: k.source, Component: k.component,
			N: int32(s.count[k]), NumNull: int32(s.count[k] - len(v)), Mean: r.number(average(v)),
			Min: r.number(slices.Min(v)), Max: r.number(slices.Max(v)),
		}
		if len(v) > 1 {
			row.Std = r.number(deviation(v))
		}
		out = append(out, row)
	}
	return out
}
