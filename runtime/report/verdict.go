package report

import (
	"fmt"
	"math"
)

// verdict says in words what a comparison shows, and what it would take where it shows nothing. d is the row over all examples.
func verdict(d Delta, metric string) string {
	way := "above"
	if d.Delta < 0 {
		way = "below"
	}
	seen := fmt.Sprintf("B's %s is %s %s A's %s over %s and %s", metric, number(math.Abs(d.Delta)), way, interval(d.Interval),
		count(d.N, "example"), count(d.Seeds, "seed"))
	t := d.Test
	switch {
	case d.Interval == nil && d.Delta == 0:
		return fmt.Sprintf("no difference seen: B's %s equals A's on every one of %s.", metric, count(d.N, "example"))
	case d.Seeds < fewestSeeds:
		return fmt.Sprintf("undecided. %s; telling that from what training does by chance takes at least %d seeds a side.", seen, fewestSeeds)
	case t == nil:
		return fmt.Sprintf("undecided. %s, and nothing varies that would tell how sure that is.", seen)
	case t.P < level && d.Delta > 0:
		return fmt.Sprintf("B is better: %s, p %s.", seen, probability(t.P))
	case t.P < level:
		return fmt.Sprintf("B is worse: %s, p %s.", seen, probability(t.P))
	}
	text := fmt.Sprintf("undecided. %s, p %s. So many seeds and examples find a difference of %.3f in 80 of 100 cases", seen, probability(t.P), t.Detectable)
	switch {
	case d.Delta == 0:
		return text + "."
	case t.SeedsNeeded == 0:
		return text + "; one as small as that seen takes more examples, however many seeds."
	}
	return fmt.Sprintf("%s; one as small as that seen takes about %d seeds a side.", text, t.SeedsNeeded)
}

// count is "1 seed", "2 seeds".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
