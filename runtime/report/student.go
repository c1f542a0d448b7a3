package report

import "math"

// studentTail is the probability that Student's t with df degrees of freedom, which need not be whole, is at least |t| away from 0.
func studentTail(t, df float64) float64 {
	if math.IsInf(t, 0) {
		return 0
	}
	return incompleteBeta(df/(df+t*t), df/2, 0.5)
}

// studentLimit is the t that a share alpha of all values is at least as far away from 0 as: 1.96 for 0.05 and many degrees of freedom.
func studentLimit(alpha, df float64) float64 {
	high := 1.0
	for studentTail(high, df) > alpha {
		high *= 2
	}
	return bisect(0, high, func(t float64) bool { return studentTail(t, df) > alpha })
}

// power is the probability that a two-sided t test at 5 %, whose limit is studentLimit(level, df), finds a difference of effect standard
// errors: of Student's noncentral t beyond the limits, the integral over u = sqrt(chi2/df) of Phi(effect - limit u) + Phi(-effect -
// limit u).
func power(effect, df, limit float64) float64 {
	const steps = 400             // Simpson's rule; 6 digits for every df from 1
	top := 1 + 10/math.Sqrt(2*df) // ten standard deviations of u
	lg, _ := math.Lgamma(df / 2)
	scale := math.Ln2 + df/2*math.Log(df/2) - lg
	sum := 0.0
	for i := 1; i <= steps; i++ {
		u := top * float64(i) / steps
		weight := 2 + 2*float64(i%2)
		if i == steps {
			weight = 1
		}
		density := math.Exp(scale + (df-1)*math.Log(u) - df*u*u/2)
		sum += weight * density * (normal(effect-limit*u) + normal(-effect-limit*u))
	}
	if df == 1 { // the density at u = 0, which is 0 for every larger df
		sum += math.Exp(scale) * (normal(effect) + normal(-effect))
	}
	return sum * top / steps / 3
}

// detectable is the smallest difference, in standard errors, that a two-sided t test at 5 % finds in 80 of 100 cases.
func detectable(df float64) float64 {
	limit := studentLimit(level, df)
	return bisect(0, 100, func(effect float64) bool { return power(effect, df, limit) < wantedPower })
}

const (
	level       = 0.05
	wantedPower = 0.8
)

// bisect is where below, true at low and false at high, turns.
func bisect(low, high float64, below func(float64) bool) float64 {
	for range 50 { // to 15 digits
		if mid := (low + high) / 2; below(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return (low + high) / 2
}

// normal is the standard normal distribution function.
func normal(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// incompleteBeta is the regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22) with Lentz's method.
func incompleteBeta(x, a, b float64) float64 {
	switch {
	case x <= 0:
		return 0
	case x >= 1:
		return 1
	case x > (a+1)/(a+b+2): // where the fraction converges slowly
		return 1 - incompleteBeta(1-x, b, a)
	}
	ab, _ := math.Lgamma(a + b)
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	front := math.Exp(ab-la-lb+a*math.Log(x)+b*math.Log1p(-x)) / a
	const tiny = 1e-300
	away := func(v float64) float64 { // from 0, which Lentz's method divides by
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	f, c, d := 1.0, 1.0, 0.0
	for i := range 300 {
		m := float64(i / 2)
		numerator := 1.0
		switch {
		case i > 0 && i%2 == 0:
			numerator = m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		case i%2 == 1:
			numerator = -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		}
		d = 1 / away(1+numerator*d)
		c = away(1 + numerator/c)
		f *= c * d
		if math.Abs(1-c*d) < 1e-15 {
			break
		}
	}
	return front * (f - 1)
}
