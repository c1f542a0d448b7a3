package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"mixr/runtime/profile"
)

// minute is how reports print a time: local, to the minute.
const minute = "2006-01-02 15:04"

// ListText writes one line a run; nothing if there are none.
func ListText(w io.Writer, s Style, runs []Listing) error {
	p := &page{Style: s, w: w}
	headers := []string{"run", "status", "stage", ">seed", ">steps", ">before", ">after", "started"}
	// Runs of one study share their name: there the trial tells them apart.
	trials := slices.ContainsFunc(runs, func(l Listing) bool { return l.Trial != "" && l.Trial != l.Name })
	if trials {
		headers = slices.Insert(headers, 1, "trial")
	}
	var rows [][]string
	for _, l := range runs {
		if l.Broken != "" {
			continue
		}
		steps := fmt.Sprintf("%d/%d", l.Step, l.Steps)
		if l.Stage == evalStage {
			steps = "-"
		}
		row := []string{
			Printable(filepath.Base(l.Dir)), Printable(l.State), Printable(l.Stage), fmt.Sprint(l.Seed), steps,
			optional(l.Before), optional(l.After), l.Start.Local().Format(minute),
		}
		if trials {
			row = slices.Insert(row, 1, Printable(cmp.Or(l.Trial, l.Name)))
		}
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		p.line("%s", s.grid(headers, rows))
	}
	for _, l := range runs {
		for _, f := range l.ends() {
			p.line("%s: %s %s", Printable(filepath.Base(l.Dir)), f.name, Printable(f.text))
		}
	}
	for _, l := range runs {
		if l.Broken != "" {
			p.line("%s: cannot be read: %s", Printable(filepath.Base(l.Dir)), Printable(l.Broken))
		}
	}
	return p.err
}

// Text writes the run for a terminal: what it is, what it gained, how it went.
func (r *Run) Text(w io.Writer, s Style) error {
	p := &page{Style: s, w: w}
	p.line("%s", s.join(r.RunID.line()))
	fact := func(name, format string, args ...any) { p.line("  %-12s %s", name, fmt.Sprintf(format, args...)) }
	if r.Stage == evalStage {
		fact("stage", "%s", Printable(r.Stage))
	} else {
		fact("stage", "%s, %d of %d steps", Printable(r.Stage), r.Step, r.Steps)
	}
	for _, f := range r.ends() {
		fact(f.name, "%s", Printable(f.text))
	}
	if r.Holder != nil {
		fact("running", "%s", *r.Holder)
	}
	fact("fingerprint", "%s", Printable(r.Fingerprint))
	for _, name := range slices.Sorted(maps.Keys(r.Manifest.Versions)) {
		fact(Printable(name), "%s", Printable(r.Manifest.Versions[name]))
	}
	for i := range r.Manifest.Attempts {
		fact(fmt.Sprintf("attempt %d", i+1), "%s", r.attempt(i))
	}
	if c := r.Cost; c.WallS > 0 {
		fact("cost", "%s training, %.2f s a step, %.0f tok/s, %.0f MB peak", time.Duration(c.WallS*float64(time.Second)).Round(time.Second),
			c.StepS, c.TokPerS, float64(c.HostPeakB)/1e6)
	}
	if r.Profile != nil {
		ort, _, _ := r.Profile.Split()
		fact("profile", "%s, a step %s in ONNX Runtime", filepath.Join(r.Dir, profile.Folder, profile.Picture), ofTotal(ort, r.Profile.LaneS()))
	}
	p.title("Reward on held-out examples")
	text := r.Gain.Text
	if r.Scores != nil {
		text = r.Scores.Text
	}
	if err := text(w, s); err != nil {
		return err
	}
	if r.Course != nil {
		p.title("%s", r.Course.title())
		p.line("%s", curveTable(r.Course.Curves, s))
	}
	if len(r.Findings) > 0 {
		p.title("Health")
		for _, f := range r.Findings {
			p.line("steps %d to %d: %s", f.From, f.To, Printable(f.Text))
		}
	}
	if len(r.Curves) > 0 {
		p.title("Curves")
		p.line("%s", curveTable(r.Curves, s))
	}
	return p.err
}

func (r *Run) attempt(i int) string {
	a := r.Manifest.Attempts[i]
	how := fmt.Sprintf("%s after %s", Printable(a.Exit), a.End.Sub(a.Start))
	if a.End.IsZero() {
		how = "killed"
		if r.Holder != nil && i == len(r.Manifest.Attempts)-1 {
			how = "running"
		}
	}
	return fmt.Sprintf("%s on %s, steps %d to %d, %s", a.Start.Local().Format(minute), Printable(a.Host), a.FromStep, a.ToStep, how)
}

// curveTable prints curves as sparklines that fill what the numbers leave of the width.
func curveTable(curves []Curve, s Style) string {
	const numbers = 16 + 4*11 // widest name and four numbers
	var rows [][]string
	for _, c := range curves {
		low, high := bounds(c.Values)
		rows = append(rows, []string{
			c.Name, sparkline(c.Values, min(60, s.width()-numbers)), optional(end(c.Values, false)), optional(end(c.Values, true)), number(low), number(high),
		})
	}
	return s.grid([]string{"", "", ">first", ">last", ">min", ">max"}, rows)
}

// end is the first or the last value that is there.
func end(values []*float64, last bool) *float64 {
	ordered := slices.All(values)
	if last {
		ordered = slices.Backward(values)
	}
	for _, v := range ordered {
		if v != nil {
			return v
		}
	}
	return nil
}
