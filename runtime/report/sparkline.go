package report

import "strings"

// bars are the heights of a sparkline; every one is one column wide.
var bars = []rune("▁▂▃▄▅▆▇█")

// sparkline draws values left to right between their smallest and largest in at most width columns. More values than
// columns are averaged column by column; a column without a value is blank; values that are all equal draw a flat line
// of middle height.
func sparkline(values []*float64, width int) string {
	columns := average(values, width)
	low, high := bounds(columns)
	var s strings.Builder
	for _, v := range columns {
		switch {
		case v == nil:
			s.WriteByte(' ')
		case high == low:
			s.WriteRune(bars[len(bars)/2])
		default:
			s.WriteRune(bars[int((*v-low)/(high-low)*float64(len(bars)-1)+0.5)])
		}
	}
	return s.String()
}

// average squeezes values into at most width columns by their means, nulls left out.
func average(values []*float64, width int) []*float64 {
	if len(values) <= width {
		return values
	}
	out := make([]*float64, width)
	for i := range out {
		sum, n := 0.0, 0
		for _, v := range values[i*len(values)/width : (i+1)*len(values)/width] {
			if v != nil {
				sum += *v
				n++
			}
		}
		if n > 0 {
			mean := sum / float64(n)
			out[i] = &mean
		}
	}
	return out
}

// bounds are the smallest and the largest value; 0, 0 where there is none.
func bounds(values []*float64) (low, high float64) {
	first := true
	for _, v := range values {
		if v == nil {
			continue
		}
		if first {
			low, high, first = *v, *v, false
		}
		low, high = min(low, *v), max(high, *v)
	}
	return low, high
}
