package monitor

import "math"

// window keeps the first n and the last n of a sequence.
type window[T any] struct {
	First []T `json:"first,omitempty"`
	Last  []T `json:"last,omitempty"`
	Count int `json:"count,omitempty"` // of all that were added
}

func (w *window[T]) add(v T, n int) {
	w.Count++
	if len(w.First) < n {
		w.First = append(w.First, v)
	}
	w.Last = append(w.Last, v)
	w.Last = w.Last[max(0, len(w.Last)-n):]
}

// full reports whether the last n are there.
func (w *window[T]) full(n int) bool { return w.Count >= n }

// apart reports whether the first n and the last n are there and have none in common.
func (w *window[T]) apart(n int) bool { return w.Count >= 2*n }

// history is what was measured of one task of one source.
type history struct {
	window[Part]
	Before []Part `json:"before,omitempty"` // the n before Last
}

func (h *history) add(p Part, n int) {
	if len(h.Last) == n {
		h.Before = append(h.Before, h.Last[0])
		h.Before = h.Before[max(0, len(h.Before)-n):]
	}
	h.window.add(p, n)
}

// total sums a count over parts.
func total(parts []Part, of func(Part) int) float64 {
	sum := 0
	for _, p := range parts {
		sum += of(p)
	}
	return float64(sum)
}

// pooled is the mean of a value over the completions of all parts.
func pooled(parts []Part, of func(Part) float64) float64 {
	sum, n := 0.0, 0
	for _, p := range parts {
		sum += float64(of(p) * float64(p.Completions))
		n += p.Completions
	}
	return sum / float64(n)
}

// mean is a mean and its standard error.
type mean struct {
	Value float64 `json:"value"`
	Error float64 `json:"error"`
}

// meanOf takes the values as independent; one alone has no error.
func meanOf(values []float64) mean {
	var m mean
	n := float64(len(values))
	for _, v := range values {
		m.Value += v
	}
	m.Value /= n
	if n > 1 {
		squares := 0.0
		for _, v := range values {
			squares += float64((v - m.Value) * (v - m.Value))
		}
		m.Error = math.Sqrt(squares / (n - 1) / n)
	}
	return m
}

// scores is the mean over steps of a task's own reward.
func scores(parts []Part) mean {
	values := make([]float64, len(parts))
	for i, p := range parts {
		values[i] = p.Score
	}
	return meanOf(values)
}

// above reports whether m is larger than other by more than so many standard errors of the difference.
func (m mean) above(other mean, errors float64) bool {
	return m.Value-other.Value > errors*math.Hypot(m.Error, other.Error)
}
