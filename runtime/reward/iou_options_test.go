package reward

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"mixr/runtime/data"
	"mixr/runtime/spec"
)

// vectors are what other libraries compute; bench/reward_fixture.py made them.
type vectors struct {
	Text []struct {
		Answer     string
		References []string
		RougeL     float64 `json:"rouge_l"`
		BLEU       float64
		NGramF     float64 `json:"ngram_f"`
	}
	Boxes []struct {
		A, B            data.Box
		IoU, GIoU, DIoU float64
	}
	Repetition []struct {
		Text    string
		NGram   int
		Penalty float64
	}
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Text) < 50 || len(v.Boxes) < 50 || len(v.Repetition) < 4 {
		t.Fatal("the file of vectors has too few")
	}
	return v
}

// exact is what two float64 formulas for the same number may differ by.
const exact = 1e-12

func TestOverlapVectors(t *testing.T) {
	for _, c := range readVectors(t).Boxes {
		for measure, want := range map[string]float64{"iou": c.IoU, "giou": (1 + c.GIoU) / 2, "diou": (1 + c.DIoU) / 2} {
			g := grounding{overlap: measure}
			if got := g.between(c.A, c.B, 0); math.Abs(got-want) > exact {
				t.Errorf("%s of %v, %v: got %v, want %v", measure, c.A, c.B, got, want)
			}
			if got := g.between(c.B, c.A, 0); math.Abs(got-want) > exact {
				t.Errorf("%s of %v, %v: not symmetric", measure, c.A, c.B)
			}
		}
	}
}

func TestOverlapProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range 2000 {
		var b [2]data.Box
		for i := range b {
			x, y := rng.Float64()*100, rng.Float64()*100
			b[i] = data.Box{x, y, x + rng.Float64()*50, y + rng.Float64()*50}
		}
		moved := func(b data.Box) data.Box { return data.Box{3*b[0] + 7, 3*b[1] + 2, 3*b[2] + 7, 3*b[3] + 2} }
		for _, measure := range []string{"iou", "giou", "diou"} {
			g := grounding{overlap: measure}
			x := g.between(b[0], b[1], 0)
			if !(x >= 0 && x <= 1) {
				t.Fatalf("%s: %v", measure, x)
			}
			if y := g.between(moved(b[0]), moved(b[1]), 0); math.Abs(x-y) > 1e-9 {
				t.Fatalf("%s changes from %v to %v when both boxes are scaled and moved", measure, x, y)
			}
			if y := g.between(b[0], b[0], 0); math.Abs(y-1) > exact {
				t.Fatalf("%s of a box with itself: %v", measure, y)
			}
		}
	}
	for _, bad := range []data.Box{{}, {5, 5, 1, 1}, {0, 0, math.NaN(), 1}, {0, 0, math.Inf(1), 1}} {
		for _, measure := range []string{"iou", "giou", "diou"} {
			if got := (grounding{overlap: measure}).between(bad, data.Box{0, 0, 5, 5}, 0); got != 0 {
				t.Errorf("%s of %v: %v", measure, bad, got)
			}
		}
	}
	if got := (grounding{overlap: "giou"}).between(data.Box{0, 0, 1e200, 1e200}, data.Box{1, 1, 1e200, 2e200}, 0); !(got >= 0 && got <= 1) {
		t.Errorf("areas that overflow: %v", got)
	}
}

func TestGroundingOptions(t *testing.T) {
	a, b := data.Box{0, 0, 10, 10}, data.Box{50, 50, 60, 60}
	for _, c := range []struct {
		name    string
		options spec.IoU
		golds   []data.Box
		answer  string
		want    float64
	}{
		{"all boxes cost", spec.IoU{Boxes: "all"}, []data.Box{a}, "[[50,50,60,60],[0,0,10,10]]", 0.5},
		{"all boxes, recall", spec.IoU{Boxes: "all", Divide: "recall"}, []data.Box{a}, "[[50,50,60,60],[0,0,10,10]]", 1},
		{"precision", spec.IoU{Divide: "precision"}, []data.Box{a, b}, "[[0,0,10,10]]", 1},
		{"recall", spec.IoU{Divide: "recall"}, []data.Box{a, b}, "[[0,0,10,10],[1,2,3,4],[2,3,4,5]]", 0.5},
		{"f", spec.IoU{Divide: "f"}, []data.Box{a, b}, "[[0,0,10,10]]", 2. / 3},
		{"below the threshold", spec.IoU{Threshold: 0.6}, []data.Box{a}, "[0,0,10,5]", 0},
		{"at the threshold", spec.IoU{Threshold: 0.5}, []data.Box{a}, "[0,0,10,5]", 0.5},
		{"apart, giou", spec.IoU{Overlap: "giou"}, []data.Box{a}, "[10,0,20,10]", 0.5},
		{"yxyx", spec.IoU{Order: "yxyx"}, []data.Box{{0, 0, 10, 20}}, "[0,0,20,10]", 1},
		{"xywh", spec.IoU{Order: "xywh"}, []data.Box{b}, "[50,50,10,10]", 1},
		{"unit", spec.IoU{Space: "unit"}, []data.Box{{50, 50, 60, 60}}, "[0.5,0.5,0.6,0.6]", 1},
		{"thousandths", spec.IoU{Space: "thousandths"}, []data.Box{b}, "[500,500,600,600]", 1},
		{"original pixels", spec.IoU{Space: "original_pixels"}, []data.Box{b}, "[50,50,60,60]", 1},
		{"resized pixels", spec.IoU{Space: "resized_pixels"}, []data.Box{b}, "[25,25,30,30]", 1},
		{"of the family", spec.IoU{Space: "policy"}, []data.Box{b}, "[500,500,600,600]", 1},
	} {
		j, err := newGrounding(&c.options, Thousandths)
		if err != nil {
			t.Fatal(err)
		}
		g := j.(grounding)
		if c.options.Space == "" {
			g.space = OriginalPixels
		}
		ex := data.Example{Boxes: c.golds, ImageSize: [2]int{100, 100}}
		v, err := g.score(ex, c.answer, moment{frame: Frame{100, 100, 50, 50}})
		if err != nil || math.Abs(v.value-c.want) > 1e-9 {
			t.Errorf("%s: got %+v, %v, want %v", c.name, v, err, c.want)
		}
	}
	for _, r := range []spec.IoU{{Overlap: "x"}, {Boxes: "x"}, {Divide: "x"}, {Schedule: "x"}, {Space: "x"}, {Order: "x"}} {
		if _, err := newGrounding(&r, Thousandths); err == nil {
			t.Errorf("%+v was accepted", r)
		}
	}
	if _, err := newGrounding(&spec.IoU{Space: "unit"}, ""); err != nil {
		t.Errorf("a space that the experiment states needs none of the family: %v", err)
	}
}

func TestDynamicThreshold(t *testing.T) {
	exp := experiment()
	exp.Rewards.IoU = &spec.IoU{Weight: 1, Schedule: "dynamic"}
	s := newScorer(t, exp)
	ex := data.Example{Task: data.Grounding, Boxes: []data.Box{{0, 0, 100, 100}}, ImageSize: [2]int{100, 100}}
	frame := Frame{100, 100, 100, 100}
	for _, c := range []struct{ progress, side, want float64 }{
		{0, 86, 0.86}, {0, 84, 0}, {0.1, 86, 0.86}, {0.11, 86, 0}, {0.25, 96, 0.96}, {0.26, 96, 0}, {1, 99, 0.99}, {1, 98, 0},
	} {
		text, err := json.Marshal(data.Box{0, 0, 100, c.side})
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.ScoreCompletion(ex, Completion{Text: "<answer>" + string(text) + "</answer>", Progress: c.progress}, frame)
		if err != nil || math.Abs(*r.IoU-c.want) > exact {
			t.Errorf("%+v: got %v, %v", c, r.IoU, err)
		}
	}
	if _, err := s.Score(ex, "<answer>[0,0,1,1]</answer>", frame); err == nil {
		t.Error("scored without the progress that the schedule needs")
	}
	if _, err := s.Score(data.Example{Task: data.YesNo, Answers: []string{"yes"}}, "<answer>yes</answer>", frame); err != nil {
		t.Errorf("another task does not need it: %v", err)
	}
}

// TestBoxForms reads what the families write, their tags included.
func TestBoxForms(t *testing.T) {
	want := data.Box{1, 2, 30, 40}
	for _, text := range []string{
		"<box>[[1, 2, 30, 40]]</box>", "<ref>2 dogs</ref><box>[[1,2,30,40]]</box>", "<|box_start|>(1,2),(30,40)<|box_end|>",
		"<|object_ref_start|>the 3rd dog<|object_ref_end|><|box_start|>(1,2),(30,40)<|box_end|>", "```json\n[\n\t{\"bbox_2d\": [1, 2, 30, 40], \"label\": \"dog 7\"}\n]\n```",
		`{"bbox_2d": [1, 2, 30, 40]}`, "1 2 30 40", "[1.0, 2.0, 30.0, 40.0]", `{"box_2d": [1, 2, 30, 40], "score": 0.9}`,
	} {
		boxes, _ := scanBoxes(text)
		if len(boxes) != 1 || !boxes[0].valid || data.Box(boxes[0].xy) != want {
			t.Errorf("%q: got %v", text, boxes)
		}
	}
}
