package reward

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// dateOrder says which number of 03/04/2018 is the day; the empty one reads no dates.
type dateOrder string

const (
	dayFirst   dateOrder = "day_first"
	monthFirst dateOrder = "month_first"
)

// date is a day, or a whole month where day is 0.
type date struct{ year, month, day int }

var (
	clock = regexp.MustCompile(`[ ,t]+\d{1,2}:\d{2}(?::\d{2})? ?(?:[ap]\.?m\.?)?$`)

	yearFirst = regexp.MustCompile(`^(\d{4})[-/. ](\d{1,2})[-/. ](\d{1,2})$`)
	yearLast  = regexp.MustCompile(`^(\d{1,2})[-/. ](\d{1,2})[-/. ](\d{4}|\d{2})$`)
	dayWord   = regexp.MustCompile(`^(\d{1,2})(?:st|nd|rd|th)?[-/., ]*(?:of )?([a-z]{3,9})\.?[-/., ]*(\d{4}|\d{2})$`)
	wordDay   = regexp.MustCompile(`^([a-z]{3,9})\.?[-/., ]*(\d{1,2})(?:st|nd|rd|th)?[-/., ]+(\d{4}|\d{2})$`)
	wordYear  = regexp.MustCompile(`^([a-z]{3,9})\.?[-/., ]*(\d{4})$`)
)

// read reads a text that is a date and nothing else but a time of day behind it. Years of two digits are 1970 to 2069.
func (o dateOrder) read(s string) (date, bool) {
	s = strings.TrimSpace(clock.ReplaceAllString(normalize(withoutCue(plain(s))), ""))
	number := func(digits string) int {
		n, _ := strconv.Atoi(digits) // at most four digits, by the patterns
		return n
	}
	if m := yearFirst.FindStringSubmatch(s); m != nil {
		return date{number(m[1]), number(m[2]), number(m[3])}.proper()
	}
	if m := yearLast.FindStringSubmatch(s); m != nil {
		day, month := number(m[1]), number(m[2])
		if o == monthFirst && day <= 12 || month > 12 {
			day, month = month, day
		}
		return date{number(m[3]), month, day}.century(m[3]).proper()
	}
	if m := dayWord.FindStringSubmatch(s); m != nil {
		return date{number(m[3]), monthOf(m[2]), number(m[1])}.century(m[3]).proper()
	}
	if m := wordDay.FindStringSubmatch(s); m != nil {
		return date{number(m[3]), monthOf(m[1]), number(m[2])}.century(m[3]).proper()
	}
	if m := wordYear.FindStringSubmatch(s); m != nil {
		return date{number(m[2]), monthOf(m[1]), 0}.proper()
	}
	return date{}, false
}

// same reports two texts that are one date.
func (o dateOrder) same(a, b string) bool {
	x, ok1 := o.read(a)
	y, ok2 := o.read(b)
	return ok1 && ok2 && x == y
}

func (d date) century(digits string) date {
	if len(digits) == 2 {
		d.year += 2000
		if d.year >= 2070 {
			d.year -= 100
		}
	}
	return d
}

// proper reports a day that the calendar has.
func (d date) proper() (date, bool) {
	day := max(d.day, 1)
	t := time.Date(d.year, time.Month(d.month), day, 0, 0, 0, 0, time.UTC)
	return d, d.month >= 1 && d.month <= 12 && t.Day() == day && int(t.Month()) == d.month
}

// monthOf is the number of an English month by its name or the first three or more letters of it, 0 for another word.
func monthOf(word string) int {
	if word == "sept" {
		return 9
	}
	for m := time.January; m <= time.December; m++ {
		if len(word) >= 3 && strings.HasPrefix(strings.ToLower(m.String()), word) {
			return int(m)
		}
	}
	return 0
}
