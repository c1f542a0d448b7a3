package reward

import (
	"testing"

	"mixr/runtime/data"
)

// TestChartQA holds the published rule's own oddities: values were measured with the rule's Python code.
func TestChartQA(t *testing.T) {
	for _, c := range []struct {
		pred, gold string
		want       float64
	}{
		{"10.5", "10", 1}, {"0.95", "1", 0}, {"0.105", "0.1", 1}, {"0.12", "12%", 1}, {"12%", "12", 0}, {"12 %", "12%", 1},
		{"1,000", "1000", 0}, {"$5", "5", 0}, {"1,000", "1,000", 1}, {"0.0", "0", 0}, {"-0", "0", 0}, {"nan", "nan", 0}, {"inf", "inf", 0},
		{"1919", "2020", 1}, {"2121", "2020", 1}, {"1918", "2020", 0}, {"-10", "10", 0}, {"yes.", "yes", 0}, {"YES", "yes", 1},
		{"0", "0", 1},                                                                           // equal as text
		{" 10 ", "10", 1},                                                                       // float() trims; ParseFloat does not
		{"\u00a010", "10", 1},                                                                   // a no-break space is white space
		{"\u0661\u0660", "10", 1}, {"\uff11\uff10", "10", 1}, {"\U0001d7d9\U0001d7d8", "10", 1}, // Arabic, full-width, double-struck digits
		{"0x1p4", "16", 0}, {"0x10", "16", 0}, {"1_000", "1000", 1}, {"1__000", "1000", 0}, {"_1", "1", 0}, {"1_", "1", 0}, {"1_000.5", "1000.5", 1},
		{"1e400", "5", 0}, {"5", "1e400", 0}, {"+nan", "+nan", 0}, {"Infinity", "-inf", 0}, {"10%%", "0.1", 1}, {"%", "%", 1}, {"", "", 1}, {"1e1", "10", 1}, {".5", "0.5", 1}, {"5.", "5", 1},
		{"STRASSE", "stra\u00dfe", 0}, {"\u039f\u03a3", "\u03bf\u03c2", 1}, // lower, not case-folded; final sigma
	} {
		if got := ChartQA(c.pred, []string{c.gold}); got != c.want {
			t.Errorf("%q against %q: got %v, want %v", c.pred, c.gold, got, c.want)
		}
	}
	if ChartQA("5", []string{"9", "5"}) != 1 {
		t.Error("the best of several golds counts")
	}
}

func TestChartReward(t *testing.T) {
	for _, c := range []struct {
		pred, gold string
		want       float64
	}{
		// Within 5 % of cleaned numbers.
		{"10.5", "10", 1}, {"10.6", "10", 0}, {"-10", "10", 0}, {"\u221210", "-10", 1}, {"0.95", "1", 0}, {"ten", "10", 0},
		{"1,000", "1000", 1}, {"1 000", "1000", 1}, {"1000", "1,000", 1}, {"1,00", "100", 0}, {"1,0000", "10000", 0},
		{"$5", "5", 1}, {"-$5", "-5", 1}, {"$-5", "-5", 1}, {"5 USD", "5", 1}, {"USD 5", "5", 1}, {"\u20ac1,234.50", "1234.5", 1}, {"RM 9.00", "9.00", 1}, {`\$5`, "5", 1},
		{"12 apples", "12", 1}, {"12kg", "12", 1}, {"65\u00b0", "65", 1}, {`65^\circ`, "65\u00b0", 1}, {"5 people per km2", "5", 1}, {"5 people per km\u00b2", "5", 1}, {"5.", "5", 1},
		{"The answer is 12.", "12", 1}, {"about 12", "12", 1}, {"x = 12", "12", 1}, {"**12**", "12", 1}, {"$12$", "12", 1}, {`\boxed{12}`, "12", 1}, {"1.2e1", "12", 1},
		// Percent and scale words.
		{"12%", "12%", 1}, {"12", "12%", 1}, {"0.12", "12%", 1}, {"12%", "12", 1}, {"12%", "0.12", 1}, {"12 percent", "12%", 1}, {"1200%", "12%", 0}, {"24%", "12", 0},
		{"5 million", "5000000", 1}, {"5 million", "5", 1}, {"5M", "5 million", 1}, {"5 million", "5 billion", 0}, {"5 m", "5", 1}, {"$5k", "5000", 1}, {"5000 million", "5 billion", 1},
		// Zero.
		{"0.0", "0", 1}, {"-0", "0", 1}, {"0.0000000001", "0", 1}, {"0.01", "0", 0}, {"0", "0.0", 1},
		// Years are exact; other numbers of that size are not years.
		{"2020", "2020", 1}, {"2021", "2020", 0}, {"2020.0", "2020", 1}, {"1900", "1901", 0}, {"1899", "1898", 1}, {"2021", "2,020", 1}, {"2021", "2020.0", 1}, {"2102", "2101", 1}, {"in 2020", "2020", 0},
		// Fractions are numbers; two of them must be equal. Products with a symbol are not numbers.
		{"1/2", "0.5", 1}, {"0.75", `\frac{3}{4}`, 1}, {`$\frac{4.0}{5.0}$`, "4/5", 1}, {"8/10", "4/5", 1}, {"26/12", "25/12", 0}, {"12/2018", "12/2017", 0}, {"1/0", "1", 0}, {`\frac{20}{7}cm`, "20/7", 1},
		{"9", "9\u03c0", 0}, {"9\u03c0", "9\u03c0", 1}, {"2", "2x", 0}, {"5", `5\u221a3`, 0},
		// Not one number.
		{"10 or 12", "10", 0}, {"10-15", "10", 0}, {"12:30", "12", 0}, {"25/12/2018", "25/12/2018", 1}, {"Q3", "3", 0}, {"12 12", "12", 0}, {"10\u2075", "105", 0},
		{"0x10", "16", 0}, {"1_000", "1000", 0}, {"inf", "5", 0}, {"nan", "nan", 1}, {"12 is the number of apples that I see", "12", 0},
		// Text.
		{"Blue.", "blue", 1}, {"the answer is blue", "Blue", 1}, {"blue", "red", 0}, {"Q3", "q3", 1}, {"\uff22lue", "blue", 1}, {"a  b", "a b", 1}, {`"blue"`, "blue", 1}, {"5", "blue", 0},
	} {
		if got := indicator(chart{tolerance: 0.05}.matches(c.pred, c.gold)); got != c.want {
			t.Errorf("%q against %q: got %v, want %v", c.pred, c.gold, got, c.want)
		}
	}
}

func TestChartNotes(t *testing.T) {
	ex := data.Example{Answers: []string{"12"}}
	if v, _ := (chart{tolerance: 0.05}).score(ex, "many", moment{}); v.parsed || v.note == "" {
		t.Errorf("a text against a number: got %+v", v)
	}
	if v, _ := (chart{tolerance: 0.05}).score(ex, "13", moment{}); !v.parsed || v.note != "" || v.value != 0 {
		t.Errorf("a wrong number: got %+v", v)
	}
}

func FuzzChart(f *testing.F) {
	for _, s := range []string{"12%", "$1,000", "1e400", "0x1p4", "\u0661", "10\u2075", "5 million", "-", "%%"} {
		f.Add(s, "12")
	}
	f.Fuzz(func(t *testing.T, pred, gold string) {
		chart{tolerance: 0.05}.matches(pred, gold)
		ChartQA(pred, []string{gold})
		if q, ok := readQuantity(gold); ok && q.value != 0 && !(chart{tolerance: 0.05}).matches(gold, gold) {
			t.Errorf("%q does not match itself", gold)
		}
	})
}
