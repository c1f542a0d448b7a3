package reward

// cosines is S = E F', [m][n], of unit rows E [m][D] and F [n][D]. Each is the sum over k = 0, 1, ... in float64 of products of two float32,
// which are exact: a fused multiply-add changes no bit, and neither does the order of the loops around the sum. So S is the same on
// every machine.
//
// A row that stands there twice (the same slice, as Embedding gives repeated tokens) is multiplied once.
func cosines(e, f [][]float32) [][]float64 {
	ue, atE := distinct(e)
	uf, atF := distinct(f)
	unique := products(widened(ue), widened(uf))
	if len(ue) == len(e) && len(uf) == len(f) {
		return unique
	}
	s := matrix(len(e), len(f))
	for i := range s {
		row := unique[atE[i]]
		for j := range s[i] {
			s[i][j] = row[atF[j]]
		}
	}
	return s
}

// matrix is [m][n] in one piece of memory.
func matrix(m, n int) [][]float64 {
	all, s := make([]float64, m*n), make([][]float64, m)
	for i := range s {
		s[i] = all[i*n : (i+1)*n : (i+1)*n]
	}
	return s
}

// distinct returns the rows less repeated ones, and where each of all is among them.
func distinct(rows [][]float32) (unique [][]float32, at []int) {
	first := map[*float32]int{}
	for _, r := range rows {
		if len(r) == 0 {
			at = append(at, len(unique))
			unique = append(unique, r)
			continue
		}
		i, ok := first[&r[0]]
		if !ok {
			i = len(unique)
			first[&r[0]] = i
			unique = append(unique, r)
		}
		at = append(at, i)
	}
	return unique, at
}

func widened(rows [][]float32) [][]float64 {
	out := matrix(len(rows), len(rows[0]))
	for i, r := range rows {
		for k, x := range r {
			out[i][k] = float64(x)
		}
	}
	return out
}

// products multiplies all rows of a with all of b, four by two at a time so that what was loaded is used more than once.
func products(a, b [][]float64) [][]float64 {
	s := matrix(len(a), len(b))
	i := 0
	for ; i+2 <= len(a); i += 2 {
		j := 0
		for ; j+4 <= len(b); j += 4 {
			eight(a[i], a[i+1], b[j], b[j+1], b[j+2], b[j+3], s[i][j:], s[i+1][j:])
		}
		for ; j < len(b); j++ {
			s[i][j], s[i+1][j] = product(a[i], b[j]), product(a[i+1], b[j])
		}
	}
	for ; i < len(a); i++ {
		for j := range b {
			s[i][j] = product(a[i], b[j])
		}
	}
	return s
}

func product(a, b []float64) float64 {
	sum := 0.0
	b = b[:len(a)]
	for k, x := range a {
		sum += x * b[k]
	}
	return sum
}

// eight is the product of two rows a, c with each of four, into r and s.
func eight(a, c, w, x, y, z, r, s []float64) {
	n := len(a)
	c, w, x, y, z = c[:n], w[:n], x[:n], y[:n], z[:n]
	var aw, ax, ay, az, cw, cx, cy, cz float64
	for k, p := range a {
		q := c[k]
		v := w[k]
		aw += p * v
		cw += q * v
		v = x[k]
		ax += p * v
		cx += q * v
		v = y[k]
		ay += p * v
		cy += q * v
		v = z[k]
		az += p * v
		cz += q * v
	}
	r[0], r[1], r[2], r[3] = aw, ax, ay, az
	s[0], s[1], s[2], s[3] = cw, cx, cy, cz
}
