package cli

import (
	"fmt"
	"time"
)

// quiet is how long work may take before its progress is shown.
const quiet = 2 * time.Second

// loading shows how much of some work is done, once it has taken a while.
type loading struct {
	screen *screen
	text   string
	start  time.Time
	shown  time.Time
}

func newLoading(s *screen, text string) *loading {
	now := time.Now()
	return &loading{screen: s, text: text, start: now, shown: now}
}

// at is called with how much is done.
func (l *loading) at(done, total int) {
	now := time.Now()
	switch {
	case now.Sub(l.start) < quiet:
	case l.screen.tty:
		l.screen.show(int(100*float64(done)/float64(total)), 100, l.text)
	case now.Sub(l.shown) >= lineEvery:
		l.shown = now
		fmt.Fprintf(l.screen, "%s: %.0f %%\n", l.text, 100*float64(done)/float64(total))
	}
}
