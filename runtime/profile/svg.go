package profile

import (
	"fmt"
	"html"
	"io"
	"strings"
	"unicode/utf8"
)

// Sizes of the drawing in pixels.
const (
	pageWidth  = 1200
	margin     = 16
	boxHeight  = 20
	letter     = 6.3 // width of a letter at most, of the font below
	drawnWidth = 0.4 // the narrowest box that is drawn
)

// SVG writes the profile as a picture that needs no other file: the step from top to bottom by phase, graph, operation and shapes, as wide
// as the time that each took, and below it the memory. It follows the reader's light or dark theme, and a box says more when pointed at.
func (p *Profile) SVG(w io.Writer) error {
	d := &drawing{}
	y := d.heading(p)
	root := p.tree()
	depth := d.frame(root, root.size, margin, y, pageWidth-2*margin)
	y += float64(depth)*boxHeight + 2*margin
	y = d.memory(p, y)
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %.0f" width="%d" height="%.0f" role="img" aria-label="%s">
<style>%s</style>
<rect class="page" width="100%%" height="100%%"/>
%s</svg>
`, pageWidth, y, pageWidth, y, text("profile of "+p.Run), style, d.out.String())
	return err
}

type drawing struct{ out strings.Builder }

func (d *drawing) line(class string, x, y float64, format string, args ...any) {
	fmt.Fprintf(&d.out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", class, x, y, text(fmt.Sprintf(format, args...)))
}

// heading writes what the profile is of, its shares and the meaning of colours; it returns the height that is taken.
func (d *drawing) heading(p *Profile) float64 {
	ort, host, wait := p.Split()
	d.line("title", margin, 30, "%s", p.Run)
	d.line("note", margin, 50, "mean of %s %s, on %s; operations as in step %d. ONNX Runtime %s, host %s, waiting %s of %s lane-seconds.",
		plural(len(p.Steps), "step"), steps(p.Steps), counted(p.Workers, "lane"), p.Traced,
		percent(ort, p.LaneS()), percent(host, p.LaneS()), percent(wait, p.LaneS()), number(p.LaneS()))
	x := float64(margin)
	for _, l := range []struct{ kind, name string }{
		{"phase", "phase"}, {"graph", "graph"}, {"product", "matrix products"}, {"op", "other operations"},
		{"between", "between operations"}, {"host", "host: outside ONNX Runtime"}, {"waiting", "waiting"},
	} {
		fmt.Fprintf(&d.out, "<rect class=\"%s\" x=\"%.1f\" y=\"62\" width=\"12\" height=\"12\"/>\n", l.kind, x)
		d.line("note", x+17, 72.5, "%s", l.name)
		x += 17 + letter*float64(utf8.RuneCountInString(l.name)) + 16
	}
	return 88
}

// frame draws a box and what it is made of below it; whole is the size that the width of the page stands for. It returns how many rows
// are taken.
func (d *drawing) frame(f frame, whole, x, y, width float64) int {
	fmt.Fprintf(&d.out, "<g><title>%s</title><rect class=\"%s\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%d\"/>",
		text(f.tip), f.kind, x, y, width, boxHeight-1)
	if label := fitted(f.name, width-6); label != "" {
		fmt.Fprintf(&d.out, "<text x=\"%.1f\" y=\"%.1f\">%s</text>", x+3, y+14, text(label))
	}
	d.out.WriteString("</g>\n")
	depth := 0
	for _, c := range f.of {
		if w := (pageWidth - 2*margin) * c.size / whole; w >= drawnWidth {
			depth = max(depth, d.frame(c, whole, x, y+boxHeight, w))
			x += w
		}
	}
	return depth + 1
}

// memory draws what the process holds and the peaks of the phases, on one scale, and returns the height of the page.
func (d *drawing) memory(p *Profile, y float64) float64 {
	var held, most int64
	for _, m := range p.Memory {
		held += m.Bytes
	}
	most = held
	for _, ph := range p.Phases {
		most = max(most, ph.PeakB)
	}
	if most == 0 {
		return y
	}
	scale := (pageWidth - 2*margin) / float64(most)
	d.line("head", margin, y, "memory: %s held, by purpose", megabytes(held))
	y += 8
	x := float64(margin)
	for i, m := range p.Memory {
		tip := fmt.Sprintf("%s: %s, %s", m.Name, megabytes(m.Bytes), m.What)
		f := frame{name: m.Name + " " + megabytes(m.Bytes), tip: tip, kind: []string{"held", "held2"}[i%2]}
		w := float64(m.Bytes) * scale
		d.frame(f, 1, x, y, w)
		x += w
	}
	y += boxHeight + 2*margin
	d.line("head", margin, y, "most resident memory in each phase")
	y += 8
	for _, ph := range p.Phases {
		if ph.PeakB > 0 {
			name := ph.Name + " " + megabytes(ph.PeakB)
			d.frame(frame{name: name, tip: name, kind: "phase"}, 1, margin, y, float64(ph.PeakB)*scale)
			y += boxHeight
		}
	}
	return y + margin
}

// fitted is as much of a name as has room in the width.
func fitted(name string, width float64) string {
	room := int(width / letter)
	if n := utf8.RuneCountInString(name); n <= room {
		return name
	} else if room < 4 {
		return ""
	}
	return string([]rune(name)[:room-1]) + "…"
}

// text escapes what a run's name or a node brings along.
func text(s string) string { return html.EscapeString(strings.ToValidUTF8(s, "�")) }

// steps is "2 and 3".
func steps(all []int) string {
	var words []string
	for _, s := range all {
		words = append(words, fmt.Sprint(s))
	}
	return strings.Join(words, " and ")
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

const style = `
text { font: 11px system-ui, sans-serif; fill: #1b1b1b }
.title { font-size: 18px; font-weight: 600 } .head { font-size: 13px; font-weight: 600 } .note { font-size: 12px; fill: #555 }
.page { fill: #fff }
.step { fill: #d9dde3 } .phase { fill: #c3cfe2 } .graph { fill: #b9d8c2 } .product { fill: #f4b183 } .op { fill: #f7dc8b }
.between { fill: #efe7cf } .host { fill: #8fb3f0 } .waiting { fill: #e4e4e4 } .held { fill: #cdbfe6 } .held2 { fill: #ddd3ef }
g:hover rect { stroke: #1b1b1b }
@media (prefers-color-scheme: dark) {
text { fill: #f0f0f0 } .note { fill: #aaa } .page { fill: #16181c }
.step { fill: #3a3f47 } .phase { fill: #3b4a63 } .graph { fill: #2f5a3f } .product { fill: #9a4f1e } .op { fill: #77611a }
.between { fill: #4a4636 } .host { fill: #2f5aa8 } .waiting { fill: #2b2d31 } .held { fill: #523f7a } .held2 { fill: #44346a }
g:hover rect { stroke: #f0f0f0 }
}
`
