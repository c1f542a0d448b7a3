package profile

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

// sample is a step of 3 s on 2 lanes.
func sample() *Profile {
	return &Profile{
		Run: "run <&>\"'-0123abcd", Steps: []int{2, 3}, Traced: 4, Workers: 2, WallS: 3,
		Phases: []Phase{
			{Name: "rollout", WallS: 2, HostS: 0.5, WaitS: 0.5, Graphs: []Runs{{"decode", 100, 2.5, 2.4}, {"prefill", 10, 0.5, 0.5}}, PeakB: 800e6},
			{Name: "gradient", WallS: 1, HostS: 0.25, WaitS: 0, Graphs: []Runs{{"gradient", 10, 1.5, 1.5}, {"accumulate", 10, 0.25, 0.25}}, PeakB: 900e6},
		},
		Graphs: []Graph{{Name: "decode", Runs: 100, Slowdown: 1.5, BetweenF: 0.2, Ops: []Op{
			{Op: "FusedMatMul", Shape: "[8, 512] × [1408, 512]", Product: true, N: 16, F: 0.5, GFLOPS: 15.4},
			{Op: "FusedMatMul", Shape: "[8, 512] × [512, 512]", Product: true, N: 16, F: 0.2, GFLOPS: 15.2},
			{Op: "Mul", Shape: "other shapes", N: 16, F: 0.1},
		}}},
		Memory: []Part{{"weights", 400e6, "of the policy"}, {"arena", 300e6, "ONNX Runtime's"}},
	}
}

// box is a drawn box with what it says when pointed at.
type box struct {
	Title string `xml:"title"`
	Rect  struct {
		Class string `xml:"class,attr"`
		X     string `xml:"x,attr"`
		Y     string `xml:"y,attr"`
		Width string `xml:"width,attr"`
	} `xml:"rect"`
	Text string `xml:"text"`
}

func number64(t *testing.T, text string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestSVG: the picture is one well-formed file that loads nothing, boxes are as wide as their time, and none leaves the one above it.
func TestSVG(t *testing.T) {
	var b bytes.Buffer
	if err := sample().SVG(&b); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, foreign := range []string{"<script", "href", "url(", "@import", "<image"} {
		if strings.Contains(b.String(), foreign) {
			t.Errorf("the picture has %s", foreign)
		}
	}
	var picture struct {
		Boxes []box `xml:"g"`
	}
	if err := xml.Unmarshal(b.Bytes(), &picture); err != nil {
		t.Fatal(err)
	}
	const whole = pageWidth - 2*margin
	find := func(title string) box {
		t.Helper()
		for _, b := range picture.Boxes {
			if strings.HasPrefix(b.Title, title) {
				return b
			}
		}
		t.Fatalf("no box %q", title)
		return box{}
	}
	for _, c := range []struct {
		title, class string
		share        float64
	}{
		{"step: 3.00 s on 2 lanes", "step", 1},
		{"rollout: 2.00 s, 66.7 % of the step", "phase", 4. / 6},
		{"rollout, graph decode: 2.50 lane-seconds, 100 runs of 25.0 ms", "graph", 2.5 / 6},
		{"rollout, Go code", "host", 0.5 / 6},
		{"rollout, lanes that had nothing to do", "waiting", 0.5 / 6},
		{"FusedMatMul in decode", "product", 0.7 * 2.5 / 6},
		{"FusedMatMul [8, 512] × [512, 512] in decode", "product", 0.2 * 2.5 / 6},
		{"Mul in decode", "op", 0.1 * 2.5 / 6},
		{"decode, between operations", "between", 0.2 * 2.5 / 6},
		{"gradient, graph accumulate", "graph", 0.25 / 6},
		{"weights: 400 MB", "held", 400. / 900},
		{"gradient 900 MB", "phase", 1},
	} {
		got := find(c.title)
		if got.Rect.Class != c.class || math.Abs(number64(t, got.Rect.Width)-whole*c.share) > 0.01 {
			t.Errorf("%s: class %s, width %s, want %s and %.2f", c.title, got.Rect.Class, got.Rect.Width, c.class, whole*c.share)
		}
	}
	rollout, decode, mul := find("rollout: "), find("rollout, graph decode"), find("Mul in decode")
	for _, pair := range [][2]box{{rollout, decode}, {decode, mul}} {
		over, under := pair[0].Rect, pair[1].Rect
		x, y := number64(t, under.X), number64(t, under.Y)
		if ox := number64(t, over.X); x < ox-0.01 || x+number64(t, under.Width) > ox+number64(t, over.Width)+0.01 || y != number64(t, over.Y)+boxHeight {
			t.Errorf("box %+v does not lie below %+v", under, over)
		}
	}
	for _, b := range picture.Boxes {
		if w := number64(t, b.Rect.Width); letter*float64(len([]rune(b.Text))) > w {
			t.Errorf("the words %q are wider than their box of %g", b.Text, w)
		}
	}
}

// A profile that lacks what a system does not say, or traces, is drawn without it.
func TestSVGBare(t *testing.T) {
	p := sample()
	p.Graphs, p.Memory = nil, nil
	for i := range p.Phases {
		p.Phases[i].PeakB = 0
	}
	var b bytes.Buffer
	if err := p.SVG(&b); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); strings.Contains(text, "resident") || strings.Contains(text, "NaN") || !strings.Contains(text, "prefill") {
		t.Error("the picture without memory and operations has more or less than it should")
	}
}
