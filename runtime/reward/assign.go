package reward

import "math"

// assign returns the largest sum of gain[i][j] over one-to-one pairings of rows i with columns j; rows or columns that
// are left over add nothing. Gains are finite and >= 0.
//
// It is the Hungarian method with potentials (Kuhn 1955, Munkres 1957), one shortest augmenting path a row: O(r^2 c)
// for r <= c. Rows u and columns v carry potentials with cost(i, j) - u_i - v_j >= 0, and = 0 on paired cells.
func assign(gain [][]float64) float64 {
	if len(gain) == 0 || len(gain[0]) == 0 {
		return 0
	}
	if len(gain) > len(gain[0]) {
		gain = transpose(gain)
	}
	rows, cols := len(gain), len(gain[0])
	u, v := make([]float64, rows+1), make([]float64, cols+1)
	row := make([]int, cols+1) // 1-based row paired with a column; 0 = free. Column 0 holds the row being placed.
	for i := 1; i <= rows; i++ {
		row[0] = i
		slack := make([]float64, cols+1)
		from := make([]int, cols+1)
		done := make([]bool, cols+1)
		for j := range slack {
			slack[j] = math.Inf(1)
		}
		at := 0
		for row[at] != 0 {
			done[at] = true
			delta, next := math.Inf(1), 0
			for j := 1; j <= cols; j++ {
				if done[j] {
					continue
				}
				if d := -gain[row[at]-1][j-1] - u[row[at]] - v[j]; d < slack[j] {
					slack[j], from[j] = d, at
				}
				if slack[j] < delta {
					delta, next = slack[j], j
				}
			}
			for j := range done {
				if done[j] {
					u[row[j]] += delta
					v[j] -= delta
				} else {
					slack[j] -= delta
				}
			}
			at = next
		}
		for at != 0 { // flip the path
			row[at] = row[from[at]]
			at = from[at]
		}
	}
	sum := 0.0
	for j := 1; j <= cols; j++ {
		if row[j] != 0 {
			sum += gain[row[j]-1][j-1]
		}
	}
	return sum
}

func transpose(m [][]float64) [][]float64 {
	out := make([][]float64, len(m[0]))
	for j := range out {
		out[j] = make([]float64, len(m))
		for i := range m {
			out[j][i] = m[i][j]
		}
	}
	return out
}
