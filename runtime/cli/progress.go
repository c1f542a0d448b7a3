package cli

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"mixr/runtime/table"
	"mixr/runtime/train"
)

// screen is where a person follows a run: lines, and on a terminal a bar below them. It is safe for concurrent use.
type screen struct {
	mu  sync.Mutex
	w   io.Writer
	bar *progressbar.ProgressBar // nil: none is shown
	tty bool
}

func newScreen(w io.Writer) *screen { return &screen{w: w, tty: isTerminal(w)} }

// Write puts text above the bar.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar == nil {
		return s.w.Write(p)
	}
	if err := s.bar.Clear(); err != nil {
		return 0, err
	}
	n, err := s.w.Write(p)
	if err == nil {
		err = s.bar.RenderBlank()
	}
	return n, err
}

// show draws the bar at done of total with a text behind it, starting a new one if there is none.
func (s *screen) show(done, total int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar == nil {
		s.bar = progressbar.NewOptions(total,
			progressbar.OptionSetWriter(s.w), progressbar.OptionSetWidth(24), progressbar.OptionSetPredictTime(false),
			progressbar.OptionShowCount(), progressbar.OptionSetElapsedTime(false), progressbar.OptionShowDescriptionAtLineEnd(),
			progressbar.OptionUseANSICodes(true))
	}
	s.bar.Describe(text)
	_ = s.bar.Set(done) // a bar that cannot be drawn is no reason to stop a run
}

// hide removes the bar.
func (s *screen) hide() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		_ = s.bar.Clear()
		s.bar = nil
	}
}

// Plain lines come when lineEvery has passed, or a tenth of the phase and lineAtLeast.
const (
	lineEvery   = 5 * time.Second
	lineAtLeast = time.Second
)

// progress turns a trial's events into a bar or lines with the time that is left, estimated phase by phase.
type progress struct {
	screen *screen
	name   string
	now    func() time.Time

	last    time.Time // when the last event came
	phase   string
	start   time.Time // of the phase: when the one before it ended
	first   int       // steps that were done before this process took part
	shown   time.Time // when the last line was printed
	shownAt int       // and at how many steps
}

func newProgress(s *screen, trial string) *progress {
	p := &progress{screen: s, name: trial, now: time.Now}
	p.last = p.now()
	return p
}

// event shows one sign of progress. train.Run calls it from one goroutine.
func (p *progress) event(e train.Event) {
	now := p.now()
	if e.Phase != p.phase {
		p.phase, p.first = e.Phase, 0 // an evaluation begins with its first example, and tells of several at once
		if e.Metrics != nil {
			p.first = e.Done - 1
		}
		p.shownAt = p.first
		p.start, p.shown = p.last, p.last
	}
	p.last = now
	for _, f := range e.Findings {
		if f.New() {
			fmt.Fprintf(p.screen, "%s: step %d: %s\n", p.name, f.Step, f.Text())
		}
	}
	spent := now.Sub(p.start)
	if e.Done == e.Total {
		p.screen.hide()
		p.print(e, "in "+rounded(spent).String())
		return
	}
	left := time.Duration(float64(spent) / float64(e.Done-p.first) * float64(e.Total-e.Done))
	eta := "eta " + rounded(left).String()
	if p.screen.tty {
		p.screen.show(e.Done, e.Total, strings.Join(append([]string{e.Phase}, append(figures(e.Metrics), eta)...), "  "))
		return
	}
	since := now.Sub(p.shown)
	if since >= lineEvery || since >= lineAtLeast && (e.Done-p.shownAt)*10 >= e.Total {
		p.shown, p.shownAt = now, e.Done
		p.print(e, eta)
	}
}

func (p *progress) print(e train.Event, time string) {
	words := append([]string{fmt.Sprintf("%s: %s %d/%d", p.name, e.Phase, e.Done, e.Total)}, figures(e.Metrics)...)
	fmt.Fprintln(p.screen, strings.Join(append(words, time), "  "))
}

// figures are the few numbers of a step that tell whether it goes well.
func figures(m *table.Metrics) []string {
	if m == nil {
		return nil
	}
	var out []string
	for _, f := range []struct {
		name, format string
		value        *float64
	}{
		{"reward", "%.3f", m.RewardMean}, {"length", "%.0f", m.LenMean}, {"kl", "%.4f", m.KL}, {"loss", "%.4f", m.Loss},
	} {
		if f.value == nil || f.name == "loss" && m.RewardMean != nil || f.name == "length" && m.RewardMean == nil {
			continue // the loss of a policy gradient says nothing; the length of targets does not change
		}
		out = append(out, f.name+" "+fmt.Sprintf(f.format, *f.value))
	}
	return out
}

// close removes the bar of a trial that ended early.
func (p *progress) close() { p.screen.hide() }

// rounded is a duration for people: to the second from ten seconds on, else to the tenth.
func rounded(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}
