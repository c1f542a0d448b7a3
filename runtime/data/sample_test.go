package data

import (
	"errors"
	"fmt"
	"image"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mixr/runtime/spec"
)

const sampleCard = "../../datasets/nlvr/card.cue"

func loadSample(t *testing.T) *Card {
	t.Helper()
	card, err := LoadCard(sampleCard)
	if err != nil {
		t.Fatal(err)
	}
	return card
}

// The committed sample holds what its README says; the hash is that of the data every example run was made with.
func TestSample(t *testing.T) {
	card := loadSample(t)
	for split, want := range map[string]string{
		"train": "1582 yesno, 3164 mcq, 3164 chart, 4698 grounding, 873 open",
		"test":  "392 yesno, 784 mcq, 784 chart, 1166 grounding, 220 open",
	} {
		if got := taskCounts(card.Rows(split)); got != want {
			t.Errorf("%s: got %s, want %s", split, got, want)
		}
	}
	const golden = "a8fe746145921a5a0239580e3ffd7ef8cbe8f4b189b6edd7a9a6229735ab30b3"
	if got := hash(t, card); got != golden {
		t.Errorf("hash: got %s, want %s", got, golden)
	}
}

// Scenes of one statement look alike and share the question: none may be on both sides.
func TestSampleSplitByStatement(t *testing.T) {
	card := loadSample(t)
	side := map[string]string{}
	for _, split := range []string{"train", "test"} {
		for _, ex := range card.Rows(split) {
			scene, _, _ := strings.Cut(ex.ID, "/")
			statement := scene[:strings.LastIndex(scene, "-")]
			if other, seen := side[statement]; seen && other != split {
				t.Fatalf("statement %s is in %s and in %s", statement, other, split)
			}
			side[statement] = split
		}
	}
	if len(side) != 533 {
		t.Errorf("got %d statements, want 533", len(side))
	}
}

// Every target answers its question: what supervised training teaches is what the reward asks for.
func TestSampleTargets(t *testing.T) {
	card := loadSample(t)
	worst := 1.0
	for _, split := range []string{"train", "test"} {
		for _, ex := range card.Rows(split) {
			think, answer, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(ex.Target, "<think>"), "</answer>"), "</think><answer>")
			if !ok || think == "" {
				t.Fatalf("%s: target %q is not <think>...</think><answer>...</answer>", ex.ID, ex.Target)
			}
			if ex.Task != Grounding {
				if answer != ex.Answers[0] {
					t.Errorf("%s: target answers %q, want %q", ex.ID, answer, ex.Answers[0])
				}
				continue
			}
			var b Box
			if n, err := fmt.Sscanf(answer, "[%f,%f,%f,%f]", &b[0], &b[1], &b[2], &b[3]); n != 4 {
				t.Fatalf("%s: target answers %q: %v", ex.ID, answer, err)
			}
			for i, scale := range []float64{400. / 392, 100. / 112, 400. / 392, 100. / 112} { // seen -> stored pixels
				b[i] *= scale
			}
			worst = min(worst, iou(b, ex.Boxes[0]))
		}
	}
	// Whole pixels cost up to half a pixel a side of a box of 9.8 x 11.2 pixels: measured 0.859.
	t.Logf("worst IoU of a target box with its gold box: %.3f", worst)
	if worst < 0.84 {
		t.Errorf("a target box has IoU %.3f with its gold box", worst)
	}
}

func iou(a, b Box) float64 {
	inter := math.Max(0, min(a[2], b[2])-max(a[0], b[0])) * math.Max(0, min(a[3], b[3])-max(a[1], b[1]))
	area := func(b Box) float64 { return (b[2] - b[0]) * (b[3] - b[1]) }
	return inter / (area(a) + area(b) - inter)
}

// Every image decodes to the end and is named by some row.
func TestSampleImages(t *testing.T) {
	card := loadSample(t)
	files, err := filepath.Glob(filepath.Join(card.dir, "images", "*"))
	if err != nil || len(files) != 1974 {
		t.Fatalf("got %d images, want 1974 (%v)", len(files), err)
	}
	for _, path := range files {
		if _, used := card.images[path]; !used {
			t.Errorf("no row names %s", path)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if img, _, err := image.Decode(f); err != nil || img.Bounds().Dx() != 400 || img.Bounds().Dy() != 100 {
			t.Errorf("%s: %v", path, err)
		}
		f.Close()
	}
}

func TestLoad(t *testing.T) {
	sources := map[string]spec.Source{
		"counts": {Card: "datasets/nlvr/card.cue", Task: "chart", Weight: 3},
		"boxes":  {Card: "datasets/nlvr/card.cue", Task: "grounding", Weight: 1, Limit: 10},
	}
	set, err := Load(sources, "../..")
	if err != nil {
		t.Fatal(err)
	}
	if set.Card("counts") != set.Card("boxes") {
		t.Error("one card was loaded twice")
	}
	if n := len(set.Train("boxes")); n != 10 {
		t.Errorf("limit 10: got %d rows", n)
	}
	if n := len(set.EvalSet("boxes", 1e6)); n != 1166 {
		t.Errorf("held-out rows are not limited: got %d, want 1166", n)
	}
	sources["boxes"] = spec.Source{Card: "datasets/nlvr/card.cue", Task: "grounding", Weight: 1, Limit: 20}
	larger, err := Load(sources, "../..")
	if err != nil {
		t.Fatal(err)
	}
	if ids(set.Train("boxes")) != ids(larger.Train("boxes")[:10]) {
		t.Error("limit 10 is no subset of limit 20")
	}
	if ids(set.EvalSet("counts", 5)) != ids(set.EvalSet("counts", 1e6)[:5]) || len(set.EvalSet("counts", 1e6)) != 784 {
		t.Error("EvalSet is not the first held-out rows")
	}
	mix, err := set.Mix(1)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, ex := range mix.Batch(0, 80) {
		counts[ex.Source]++
		if len(ex.Images) != 1 || !filepath.IsAbs(ex.Images[0]) {
			t.Fatalf("%s: images %q, want one absolute path", ex.ID, ex.Images)
		}
	}
	if counts["counts"] != 60 || counts["boxes"] != 20 {
		t.Errorf("got %v, want 60 counts and 20 boxes", counts)
	}
}

func TestLoadMistakes(t *testing.T) {
	_, err := Load(map[string]spec.Source{"a": {Card: "gone.cue", Task: "open"}}, ".")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a card that is not there: got %v", err)
	}
	card := toyCard(t, `{"id":"a","task":"yesno","question":"Is it?","answers":["yes"]}`)
	_, err = Load(map[string]spec.Source{"a": {Card: "card.cue", Task: "open"}, "b": {Card: "card.cue", Task: "mcq"}}, card.dir)
	want := `card.cue: source "a": no rows with task "open" (the card has 1 yesno)
card.cue: source "b": no rows with task "mcq" (the card has 1 yesno)`
	if got := strings.ReplaceAll(fmt.Sprint(err), card.dir+"/", ""); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// Real rows made by others load as they are, or fail for a mistake that is theirs.
func TestSharedData(t *testing.T) {
	shared, err := filepath.Abs("../../../shared/data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(shared); err != nil {
		t.Skip("no ../shared/data beside the repository: real rows are not checked")
	}
	flawed := map[string]string{ // mistakes that the authors' data has
		"mathvision": `row "mathvision-1893": choices[2] repeats choices[1]: "C"`,
	}
	for name, tasks := range map[string]string{
		"nlvr": `"yesno"`, "nlvr_grounding": `"grounding"`, "coco_mini": `"grounding", "open", "yesno"`, "mathvision": `"mcq", "chart"`,
		"tabmwp": `"chart", "mcq"`, "sroie": `"chart", "grounding"`, "opencqa": `"open"`, "gsm8k": `"chart"`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Symlink(shared, filepath.Join(dir, "data")); err != nil {
				t.Skip("no symbolic links: ", err)
			}
			text := fmt.Sprintf(`dataset: {name: %q, title: "", licence: "see README", source: "shared", tasks: [%s], coordinates: "pixels"
				images: "data/%s", splits: train: ["data/%s/data.jsonl"]}`, name, tasks, name, name)
			path := filepath.Join(dir, "card.cue")
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			card, err := LoadCard(path)
			if want := flawed[name]; want != "" {
				if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want only %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Log(taskCounts(card.Rows("train")))
		})
	}
}
