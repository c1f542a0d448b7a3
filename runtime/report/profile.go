package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"mixr/runtime/profile"
)

// ReadProfile reads the profile that a run with --profile has left in its folder; nil if there is none.
func ReadProfile(dir string) (*profile.Profile, error) {
	file := filepath.Join(dir, profile.Folder, profile.File)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	p := &profile.Profile{}
	if err := json.Unmarshal(text, p); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return p, nil
}

// mostOps is how many kinds of operations a profile lists; the picture has all.
const mostOps = 20

// ProfileText writes where the time of a step went, by phase and by operation, and what the memory of the process is for.
func ProfileText(w io.Writer, s Style, p *profile.Profile) error {
	out := &page{Style: s, w: w}
	out.title("Where a step's time went")
	headers := []string{"phase", ">seconds", ">share", ">ONNX Runtime", ">host", ">waiting", ">runs", ">most memory"}
	var rows [][]string
	lane := p.LaneS()
	for _, ph := range p.Phases {
		all := ph.WallS * float64(p.Workers)
		rows = append(rows, []string{Printable(ph.Name), number(ph.WallS), ofTotal(all, lane), ofTotal(ph.OrtS(), all), ofTotal(ph.HostS, all),
			ofTotal(ph.WaitS, all), "", memory(ph.PeakB)})
		for _, g := range ph.Graphs {
			rows = append(rows, []string{"  " + Printable(g.Graph), "", ofTotal(g.Seconds, lane), "", "", "", fmt.Sprintf("%.4g", g.N), ""})
		}
	}
	ort, host, wait := p.Split()
	rows = append(rows, []string{"a step", number(p.WallS), "", ofTotal(ort, lane), ofTotal(host, lane), ofTotal(wait, lane), "", ""})
	out.line("%s", s.grid(headers, rows))
	out.line("shares are of the time of all lanes (%d); outside ONNX Runtime: %s", p.Workers, ofTotal(host+wait, lane))
	if slices.Contains(p.Steps, p.Traced) {
		out.notes([]string{"the operations were timed in the same step, which slows it down: a run of four steps measures them apart"})
	}
	if stolen := p.Stolen(); stolen > 0.05 {
		out.notes([]string{fmt.Sprintf("other programs had the processor for %s of the time inside ONNX Runtime: measure again when they "+
			"rest; of what it worked for this run, %s was outside ONNX Runtime", ofTotal(stolen, 1), ofTotal(host, host+ort*(1-stolen)))})
	}
	out.operations(p)
	if p.Memory == nil {
		return out.err
	}
	out.title("What the memory is for")
	rows = nil
	for _, m := range p.Memory {
		rows = append(rows, []string{Printable(m.Name), memory(m.Bytes), Printable(m.What)})
	}
	out.line("%s", s.grid([]string{"held", ">bytes", ""}, rows))
	return out.err
}

// operations lists the kinds of operations that take most of a step.
func (out *page) operations(p *profile.Profile) {
	type item struct {
		profile.Op
		graph string
		f     float64 // of the step
	}
	var all []item
	for i := range p.Graphs {
		g := &p.Graphs[i]
		seconds, _ := p.GraphS(g.Name)
		for _, o := range g.Ops {
			all = append(all, item{o, g.Name, o.F * seconds / p.LaneS()})
		}
		all = append(all, item{profile.Op{Op: "between operations"}, g.Name, g.BetweenF * seconds / p.LaneS()})
	}
	if all == nil {
		return
	}
	slices.SortStableFunc(all, func(a, b item) int { return -cmp.Compare(a.f, b.f) })
	out.title("Operations that took most")
	var rows [][]string
	for _, o := range all[:min(len(all), mostOps)] {
		speed := ""
		if o.GFLOPS > 0 {
			speed = fmt.Sprintf("%.1f", o.GFLOPS)
		}
		times := ""
		if o.N > 0 {
			times = fmt.Sprintf("%.4g", o.N)
		}
		rows = append(rows, []string{ofTotal(o.f, 1), Printable(o.graph), Printable(o.Op.Op), Printable(o.Shape), times, speed})
	}
	out.line("%s", out.grid([]string{">share", "graph", "operation", "shapes", ">a run", ">GFLOP/s"}, rows))
	if rest := len(all) - len(rows); rest > 0 {
		sum := 0.0
		for _, o := range all[len(rows):] {
			sum += o.f
		}
		out.line("and %s of %d more", ofTotal(sum, 1), rest)
	}
	if slow := p.Slowdown(); slow > 1.05 {
		out.notes([]string{fmt.Sprintf("timed in step %d, where runs took %.2f times as long: small operations count for more than they take",
			p.Traced, slow)})
	}
}

func ofTotal(part, whole float64) string {
	if whole <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*part/whole)
}

func memory(bytes int64) string {
	if bytes == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f MB", float64(bytes)/1e6)
}
