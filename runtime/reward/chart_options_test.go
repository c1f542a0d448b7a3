package reward

import (
	"math"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

// newChartOf is the judge of options, with a tolerance of 5 %.
func newChartOf(t *testing.T, c spec.Chart) chart {
	t.Helper()
	c.Tolerance = 0.05
	j, err := newChart(&c)
	if err != nil {
		t.Fatal(err)
	}
	return j.(chart)
}

func TestReadMath(t *testing.T) {
	for _, c := range []struct {
		text string
		want float64 // NaN: no number
	}{
		// What the plain reader reads.
		{"12%", 12}, {"$1,234.50", 1234.5}, {"3/4", 0.75}, {"1.2e3", 1200}, {"The answer is 12.", 12}, {"65\u00b0", 65}, {"-5", -5}, {"12 apples", 12},
		// Roots and pi, as the outputs of R1-V write them.
		{"2\u221a{3}", 2 * math.Sqrt(3)}, {"2sqrt(3)", 2 * math.Sqrt(3)}, {`2\sqrt{3}`, 2 * math.Sqrt(3)}, {"2\u221a3", 2 * math.Sqrt(3)}, {"\u221a3/2", math.Sqrt(3) / 2},
		{`\frac{\sqrt{3}}{2}`, math.Sqrt(3) / 2}, {"\\frac{3}{2}\u221a{3}", 1.5 * math.Sqrt(3)}, {"2\u221a{2}-2", 2*math.Sqrt2 - 2}, {"60\u221a{3}+1", 60*math.Sqrt(3) + 1},
		{"60sqrt(3)m", 60 * math.Sqrt(3)}, {"4\u221a{3}cm\u00b2", 4 * math.Sqrt(3)}, {"240\u03c0cm^{2}", 240 * math.Pi}, {"9pi", 9 * math.Pi}, {"4 * pi", 4 * math.Pi},
		{`65\pi`, 65 * math.Pi}, {"pi", math.Pi}, {`\frac{1}{6}\pi`, math.Pi / 6}, {"\u03c0/6", math.Pi / 6}, {"-\u221a2", -math.Sqrt2}, {"2*sqrt(5)/5", 2 * math.Sqrt(5) / 5},
		{"(1+\u221a5)/2", (1 + math.Sqrt(5)) / 2}, {"sqrt(1/3)", math.Sqrt(1. / 3)},
		// Powers of ten.
		{`1.2 \times 10^5`, 1.2e5}, {"1.2\u00d710^{5}", 1.2e5}, {"1.2 x 10^5", 1.2e5}, {"3\u00b710\u2075", 3e5}, {"10^-3", 1e-3}, {"2^10", 1024}, {"1.5*10^6 people", 1.5e6},
		// Mixed fractions, products, equations, amounts in brackets.
		{"1 1/2", 1.5}, {`1\frac{1}{2}`, 1.5}, {"3\u00bd", 3.5}, {"\u00bd", 0.5}, {"3 * 4", 12}, {"x = 12", 12}, {"AB = 1.8 * 9.0 / 1.5 = 10.8", 10.8},
		{"10 * tan(60) \u2248 22.7 meters", 22.7}, {"($1,234)", -1234}, {"($5 million)", -5},
		// No numbers.
		{"10-15", math.NaN()}, {"12/2018", math.NaN()}, {"12:30", math.NaN()}, {"555-1234", math.NaN()}, {"4.0 + PE + PF", math.NaN()}, {"2x", math.NaN()}, {"Q3", math.NaN()},
		{"\u221a", math.NaN()}, {"\u221a-1", math.NaN()}, {`\frac{1}{0}`, math.NaN()}, {"sqrt(2", math.NaN()}, {"10^999", math.NaN()}, {"pie chart", math.NaN()}, {"", math.NaN()},
		{"2:3", math.NaN()}, {"12 and 13", math.NaN()},
	} {
		q, ok := readMath(c.text)
		got := q.value
		if !ok {
			got = math.NaN()
		}
		if math.IsNaN(got) != math.IsNaN(c.want) || math.Abs(got-c.want) > 1e-12*math.Abs(c.want) {
			t.Errorf("%q: got %v, want %v", c.text, got, c.want)
		}
	}
}

func TestChartOptions(t *testing.T) {
	plain, math := spec.Chart{}, spec.Chart{Numbers: "math"}
	none, wide := spec.Chart{Years: "none"}, spec.Chart{Years: "wide"}
	codes, day, month := spec.Chart{Codes: true}, spec.Chart{Dates: "day_first"}, spec.Chart{Dates: "month_first"}
	ordered, any := spec.Chart{Lists: "ordered"}, spec.Chart{Lists: "any_order"}
	anls := spec.Chart{Text: "anls"}
	for _, c := range []struct {
		options    spec.Chart
		pred, gold string
		want       float64
	}{
		{plain, "4\u221a3", "4\u221a{3}cm\u00b2", 0}, {math, "4\u221a3", "4\u221a{3}cm\u00b2", 1}, {math, "6.93", "4\u221a3", 1}, {math, "4", "4\u221a3", 0},
		{plain, `1\frac{1}{2}`, "1.5", 0}, {math, `1\frac{1}{2}`, "1.5", 1}, {math, "2021", "2020", 0},
		{plain, "2021", "2020", 0}, {none, "2021", "2020", 1}, {wide, "2021", "2020", 0}, {wide, "1500", "1501", 0}, {plain, "1500", "1501", 1}, {wide, "1500", "1,501", 0},
		{wide, "1501.5", "1,501", 1}, {wide, "12", "12.1", 1},
		{plain, "7", "007", 1}, {codes, "7", "007", 0}, {codes, "007.", "007", 1}, {codes, "0.07", "0.07", 1}, {codes, "12345678901", "12345678902", 0},
		{plain, "12345678901", "12345678902", 1}, {codes, "10.2", "10", 1},
		{plain, "25 December 2018", "25/12/2018", 0}, {day, "25 December 2018", "25/12/2018", 1}, {day, "Dec 25, 2018", "2018-12-25", 1}, {day, "25-DEC-18", "25/12/2018", 1},
		{day, "12/25/2018", "25/12/2018", 1}, {day, "03/04/2018", "3 April 2018", 1}, {month, "03/04/2018", "March 4th, 2018", 1}, {month, "03/04/2018", "3 April 2018", 0},
		{day, "25/12/2018 10:30:00 AM", "25/12/2018", 1}, {day, "26/12/2018", "25/12/2018", 0}, {day, "31/02/2018", "31/02/2018", 1}, {day, "Sept 2018", "September 2018", 1},
		{day, "12 December 2018", "December 2018", 0}, {day, "2018", "December 2018", 0}, {day, "10.2", "10", 1}, {day, "25/12/70", "25/12/1970", 1},
		{plain, "blue, red", "red, blue", 0}, {ordered, "red, blue", "red; blue", 1}, {ordered, "blue, red", "red, blue", 0}, {any, "blue and red", "red, blue", 1},
		{any, "blue, green", "red, blue", 0.5}, {any, "blue", "red, blue", 0.5}, {any, "blue, red, green, black", "red, blue", 0.5}, {any, "[10.2, 1]", "[1, 10]", 1},
		{any, "1,000", "1000", 1}, {any, "1,000, 2,000", "2000 and 1000", 1}, {any, "red, blue and green", "red, blue, green", 1},
		{anls, "blu", "blue", 0.75}, {anls, "red", "blue", 0}, {anls, "Blue.", "blue", 1}, {anls, "12", "13", 0}, {plain, "blu", "blue", 0},
	} {
		if got := newChartOf(t, c.options).value(c.pred, c.gold); got != c.want {
			t.Errorf("%+v: %q against %q: got %v, want %v", c.options, c.pred, c.gold, got, c.want)
		}
	}
	for _, c := range []spec.Chart{{Numbers: "x"}, {Years: "x"}, {Dates: "x"}, {Lists: "x"}, {Text: "x"}} {
		if _, err := newChart(&c); err == nil {
			t.Errorf("%+v was accepted", c)
		}
	}
}

// every option that reads more.
var readsAll = chart{tolerance: 0.05, math: true, codes: true, dates: dayFirst, lists: "any_order", anls: true}

// TestChartInvariance: white space around, case and a full stop change no score.
func TestChartInvariance(t *testing.T) {
	for _, gold := range []string{"12%", "Blue", "red, blue", "25 Dec 2018", "2\u221a3", "007", "$1,234"} {
		for _, pred := range []string{"12 %", "blue", "blue; red", "25/12/2018", "2 sqrt(3)", "007", "1234", "red"} {
			want := readsAll.value(pred, gold)
			for _, p := range []string{"  " + pred + "\n", "**" + pred + "**", pred + "."} {
				if got := readsAll.value(p, gold); got != want {
					t.Errorf("%q against %q: got %v, %q gets %v", p, gold, got, pred, want)
				}
			}
		}
	}
}

// FuzzChartOptions: scores stay within bounds, and a gold that is read matches itself.
func FuzzChartOptions(f *testing.F) {
	for _, s := range []string{"2\u221a{3}", `\frac{\sqrt{3}}{2}`, "((((", "1 1/2", "[1,2]", "a, b and c", "03/04/2018", "10^10^10", "0\u00bd", "($5)", "=\u2248", "32 DEC 99"} {
		f.Add(s, "1, 2")
	}
	f.Fuzz(func(t *testing.T, pred, gold string) {
		for _, j := range []chart{readsAll, {math: true, lists: "ordered", dates: monthFirst, years: "wide"}} {
			if v := j.value(pred, gold); !(v >= 0 && v <= 1) {
				t.Errorf("%q against %q: %v", pred, gold, v)
			}
			if _, err := j.score(data.Example{Answers: []string{gold}}, pred, moment{}); err != nil {
				t.Error(err)
			}
			if q, ok := readMath(gold); ok && q.value != 0 && !j.matches(gold, gold) {
				t.Errorf("%q does not match itself", gold)
			}
		}
		lastNumber(pred)
	})
}
