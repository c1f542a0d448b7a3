package reward

import (
	"math"
	"math/rand/v2"
	"testing"

	"mixr/runtime/data"
)

func TestScanBoxes(t *testing.T) {
	box := func(a, b, c, d float64) foundBox { return foundBox{[4]float64{a, b, c, d}, true} }
	one := []foundBox{box(10, 20, 30, 40)}
	two := []foundBox{box(10, 20, 30, 40), box(1, 2, 3, 4)}
	for _, c := range []struct {
		text  string
		want  []foundBox
		empty bool
	}{
		{`[{"bbox_2d": [10, 20, 30, 40], "label": "cat"}]`, one, false},
		{`{"bbox_2d": [10, 20, 30, 40], "label": "item 3 of [4]"}`, one, false},
		{`{"label": "a \"5\" b", "bbox_2d": [10, 20, 30, 40], "score": 0.9}`, one, false},
		{"```json\n[\n\t{\"bbox_2d\": [10, 20, 30, 40], \"label\": \"cat\"}\n]\n```", one, false},
		{`{'bbox_2d': [10, 20, 30, 40], 'label': 'the cat''s'}`, one, false},
		{`[{"bbox_2d": [10, 20, 30, 40]}, {"bbox_2d": [1, 2, 3, 4]}]`, two, false},
		{`{"objects": [{"bbox": [10, 20, 30, 40], "id": 7}, {"bbox": [1, 2, 3, 4], "size": [5, 6]}]}`, two, false},
		{"[10, 20, 30, 40]", one, false},
		{"The box is [10, 20, 30, 40].", one, false},
		{"It's at [10,20,30,40]", one, false},
		{"Location: [10, 20, 30, 40]", one, false},
		{"Box 1: [10, 20, 30, 40], box 2: [1, 2, 3, 4]", two, false},
		{"[[10, 20, 30, 40]]", one, false},
		{"[[10, 20, 30, 40], [1, 2, 3, 4]]", two, false},
		{"(10, 20, 30, 40)", one, false},
		{"(10,20),(30,40)", one, false},
		{"[[10, 20], [30, 40]]", one, false},
		{"<|box_start|>(10,20),(30,40)<|box_end|>", one, false},
		{`{"x_min": 10, "y_min": 20, "x_max": 30, "y_max": 40}`, one, false},
		{`{"bbox_2d": {"x1": 10, "y1": 20, "y2": 40, "x2": 30}}`, one, false},
		{"x1=10, y1=20, x2=30, y2=40", one, false},
		{"10, 20, 30, 40", one, false},
		{"10 20 30 40", one, false},
		{"[10.0, 2e1, +30, 40.]", one, false},
		{"[-1.5, .5, 30, 40]", []foundBox{box(-1.5, .5, 30, 40)}, false},
		{"[10, 20, 30, 40", one, false}, // truncated
		{"[]", nil, true},
		{"```json\n[ ]\n```", nil, true},
		{"", nil, false},
		{"none", nil, false},
		{"f()", nil, false},
		{"the cat (2) on the left", nil, false},
		{"10, 20, 30", nil, false},
		{"at 10, 20, 30, 40", nil, false}, // running text
		{"[10, 20, 30]", []foundBox{{}}, false},
		{"[10, 20, 30, 40, 50]", []foundBox{{}}, false},
		{"[1, 2], [10, 20, 30, 40]", []foundBox{{}, box(10, 20, 30, 40)}, false}, // a malformed first box keeps its place
		{"[1e999, 2, 3, 4]", []foundBox{box(math.Inf(1), 2, 3, 4)}, false},
		{`{"x_min": 10, "y_min": 20, "x_max": 30}`, []foundBox{{xy: [4]float64{10, 20, 30, 0}}}, false},
	} {
		got, empty := scanBoxes(c.text)
		if len(got) != len(c.want) || empty != c.empty {
			t.Errorf("%q: got %v, empty %t, want %v, %t", c.text, got, empty, c.want, c.empty)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%q: box %d: got %v, want %v", c.text, i, got[i], c.want[i])
			}
		}
	}
}

func FuzzScanBoxes(f *testing.F) {
	for _, s := range []string{`[{"bbox_2d": [1, 2, 3, 4]}]`, "(1,2),(3,4)", "[[[[", "}])", `"'`, "-.e+", "1e", "x1=", "[1,2,3,4"} {
		f.Add(s)
	}
	judge := grounding{space: ResizedPixels}
	ex := data.Example{Boxes: []data.Box{{1, 1, 5, 5}, {2, 2, 8, 8}}, ImageSize: [2]int{10, 10}}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := judge.score(ex, s, moment{frame: Frame{10, 10, 28, 28}})
		if err != nil || !(0 <= v.value && v.value <= 1) {
			t.Errorf("%q: got %+v, %v", s, v, err)
		}
	})
}

func TestOverlap(t *testing.T) {
	a := data.Box{0, 0, 10, 10}
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		b    data.Box
		want float64
	}{
		{a, 1}, {data.Box{5, 0, 15, 10}, 1. / 3}, {data.Box{0, 0, 5, 5}, 0.25}, {data.Box{10, 0, 20, 10}, 0}, {data.Box{20, 20, 30, 30}, 0},
		{data.Box{9.5, 0, 19.5, 10}, 5. / 195}, // less than a pixel of overlap still counts
		{data.Box{10, 10, 0, 0}, 0},            // corners are not swapped
		{data.Box{0, 0, 0, 10}, 0}, {data.Box{0, 0, inf, 10}, 0}, {data.Box{nan, 0, 5, 5}, 0},
	} {
		if got := overlap(a, c.b); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%v: got %v, want %v", c.b, got, c.want)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		a, b := randomBox(rng), randomBox(rng)
		if x, y := overlap(a, b), overlap(b, a); x != y || x < 0 || x > 1 {
			t.Fatalf("%v, %v: %v and %v", a, b, x, y)
		}
	}
}

func randomBox(rng *rand.Rand) data.Box {
	x, y := rng.Float64()*90, rng.Float64()*90
	return data.Box{x, y, x + 0.1 + rng.Float64()*10, y + 0.1 + rng.Float64()*10}
}

// TestSpace guards the one conversion: a perfect box in resized pixels scores 1, although both axes scale differently,
// and the same numbers read as original pixels do not.
func TestSpace(t *testing.T) {
	gold := data.Box{100, 50, 400, 600}
	frame := Frame{OriginalW: 1920, OriginalH: 1080, ResizedW: 1316, ResizedH: 728} // Qwen2.5-VL, max 1003520 pixels
	ex := data.Example{Boxes: []data.Box{gold}, ImageSize: [2]int{1920, 1080}}
	sx, sy := 1316./1920, 728./1080
	resized := data.Box{gold[0] * sx, gold[1] * sy, gold[2] * sx, gold[3] * sy}
	back, err := ResizedPixels.toOriginal(resized, frame)
	if err != nil {
		t.Fatal(err)
	}
	if got := overlap(back, gold); math.Abs(got-1) > 1e-12 {
		t.Errorf("converted: IoU %v, want 1", got)
	}
	if got := overlap(resized, gold); got > 0.7 {
		t.Errorf("unconverted: IoU %v, want far below 1", got)
	}
	if _, err := (grounding{space: ResizedPixels}).score(ex, "[1,2,3,4]", moment{frame: Frame{640, 480, 644, 476}}); err == nil {
		t.Error("a frame of another image was accepted")
	}
	if _, err := (grounding{space: ResizedPixels}).score(ex, "[1,2,3,4]", moment{frame: Frame{OriginalW: 1920, OriginalH: 1080}}); err == nil {
		t.Error("a frame without resized size was accepted")
	}
	back, err = SpaceOf("internvl").toOriginal(data.Box{500, 100, 1000, 250}, frame)
	if want := (data.Box{960, 108, 1920, 270}); err != nil || back != want {
		t.Errorf("thousandths: got %v, %v, want %v", back, err, want)
	}
}

func TestGroundingScore(t *testing.T) {
	a, b := data.Box{0, 0, 10, 10}, data.Box{50, 50, 60, 60}
	for _, c := range []struct {
		name   string
		golds  []data.Box
		answer string
		want   float64
		parsed bool
		note   string
	}{
		{"one", []data.Box{a}, "[0,0,10,10]", 1, true, ""},
		{"first of two", []data.Box{a}, "[[0,0,10,10],[50,50,60,60]]", 1, true, "boxes_extra=1"},
		{"second of two", []data.Box{a}, "[[50,50,60,60],[0,0,10,10]]", 0, true, "boxes_extra=1"},
		{"beyond the image is clipped", []data.Box{{90, 90, 100, 100}}, "[90,90,150,150]", 1, true, ""},
		{"inverted", []data.Box{a}, "[10,10,0,0]", 0, true, ""},
		{"not finite", []data.Box{a}, "[0,0,1e999,10]", 0, true, ""},
		{"three numbers", []data.Box{a}, "[0,0,10]", 0, false, "unparsed: no list of four numbers"},
		{"none", []data.Box{a}, "there is none", 0, false, "unparsed: no box"},
		{"explicitly none", []data.Box{a}, "[]", 0, true, ""},
		{"two in any order", []data.Box{a, b}, "[[50,50,60,60],[0,0,10,10]]", 1, true, ""},
		{"one of two", []data.Box{a, b}, "[[50,50,60,60]]", 0.5, true, ""},
		{"two and a spare", []data.Box{a, b}, "[[50,50,60,60],[0,0,10,10],[1,2,3,4]]", 2. / 3, true, ""},
	} {
		ex := data.Example{Boxes: c.golds, ImageSize: [2]int{100, 100}}
		v, err := (grounding{space: ResizedPixels}).score(ex, c.answer, moment{frame: Frame{100, 100, 100, 100}})
		if err != nil || math.Abs(v.value-c.want) > 1e-12 || v.parsed != c.parsed || v.note != c.note {
			t.Errorf("%s: got %+v, %v, want %v, %t, %q", c.name, v, err, c.want, c.parsed, c.note)
		}
	}
}

// TestAssign compares with all permutations; greedy order would lose in the first case.
func TestAssign(t *testing.T) {
	if got := assign([][]float64{{0.9, 0.8}, {0.8, 0.1}}); math.Abs(got-1.6) > 1e-12 {
		t.Errorf("got %v, want 1.6", got)
	}
	if got := assign(nil); got != 0 {
		t.Errorf("got %v for nothing", got)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		gain := make([][]float64, 1+rng.IntN(5))
		cols := 1 + rng.IntN(5)
		for i := range gain {
			gain[i] = make([]float64, cols)
			for j := range gain[i] {
				gain[i][j] = float64(rng.IntN(5)) / 4
			}
		}
		if got, want := assign(gain), bestPairing(gain, 0, 0); math.Abs(got-want) > 1e-9 {
			t.Fatalf("%v: got %v, want %v", gain, got, want)
		}
	}
}

func bestPairing(gain [][]float64, i int, used uint) float64 {
	if i == len(gain) {
		return 0
	}
	best := bestPairing(gain, i+1, used)
	for j, g := range gain[i] {
		if used>>j&1 == 0 {
			best = max(best, g+bestPairing(gain, i+1, used|1<<j))
		}
	}
	return best
}

func TestGroundingGold(t *testing.T) {
	size := [2]int{100, 50}
	for _, c := range []struct {
		boxes []data.Box
		size  [2]int
		ok    bool
	}{
		{[]data.Box{{0, 0, 100, 50}}, size, true},
		{[]data.Box{}, size, false},
		{nil, size, false},
		{[]data.Box{{10, 0, 5, 50}}, size, false},
		{[]data.Box{{0, 60, 10, 70}}, size, false},
		{[]data.Box{{0, 0, math.NaN(), 50}}, size, false},
		{[]data.Box{{0, 0, 10, 10}}, [2]int{}, false},
	} {
		if err := (grounding{}).checkGold(data.Example{Boxes: c.boxes, ImageSize: c.size}); (err == nil) != c.ok {
			t.Errorf("%v: got %v, want ok %t", c.boxes, err, c.ok)
		}
	}
}
