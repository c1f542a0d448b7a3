package data

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"mixr/runtime/spec"
)

// TestMistakes loads the card of every testdata/*.txtar and compares all that is said about it with the section `want`
// (empty: the card is good). MIXR_UPDATE=1 rewrites the sections.
func TestMistakes(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases under testdata", err)
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := unpack(t, archive)
			_, err = LoadCard(filepath.Join(dir, "card.cue"))
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), dir+"/", "") + "\n"
				if ds := (spec.Diagnostics{}); !errors.As(err, &ds) {
					t.Errorf("a mistake of the user came back as %T", err)
				}
			}
			want := &archive.Files[len(archive.Files)-1]
			if want.Name != "want" {
				t.Fatalf("last section is %s, want `want`", want.Name)
			}
			if os.Getenv("MIXR_UPDATE") != "" {
				want.Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want.Data) {
				t.Errorf("got:\n%swant:\n%s", got, want.Data)
			}
		})
	}
}

// unpack writes the archive's files and the pictures of testdata into a new folder and returns it.
func unpack(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	files := archive.Files
	for _, name := range []string{"ok.png", "wide.png"} {
		picture, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, txtar.File{Name: name, Data: picture})
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Bytes that are not UTF-8 cannot stand in a text file of cases.
func TestNotUTF8(t *testing.T) {
	_, f := parseRow([]byte("{\"id\":\"a\xff\"}"))
	if f == nil || f.msg != "not UTF-8" || f.col != 9 {
		t.Errorf("got %+v, want not UTF-8 at byte 9", f)
	}
}

func TestBoxSpaces(t *testing.T) {
	for _, c := range []struct {
		space string
		box   []float64
		want  Box // in pixels of a 40 x 20 image
	}{
		{"pixels", []float64{10, 5, 20, 10}, Box{10, 5, 20, 10}},
		{"norm1000", []float64{250, 250, 500, 500}, Box{10, 5, 20, 10}},
		{"norm1", []float64{0.25, 0.25, 0.5, 0.5}, Box{10, 5, 20, 10}},
		{"pixels", []float64{-0.5, 0, 40.75, 20.5}, Box{0, 0, 40, 20}}, // up to a pixel outside is clipped
	} {
		got, wrong := (&Card{Coordinates: c.space}).boxes(row{Boxes: [][]float64{c.box}}, [2]int{40, 20})
		if len(wrong) > 0 || len(got) != 1 || got[0] != c.want {
			t.Errorf("%s %v: got %v %v, want %v", c.space, c.box, got, wrong, c.want)
		}
	}
}

// toyCard loads a card with the given rows.
func toyCard(t *testing.T, rows ...string) *Card {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/ok.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for i := range archive.Files {
		if archive.Files[i].Name == "rows.jsonl" && rows != nil {
			archive.Files[i].Data = []byte(strings.Join(rows, "\n"))
		}
	}
	card, err := LoadCard(filepath.Join(unpack(t, archive), "card.cue"))
	if err != nil {
		t.Fatal(err)
	}
	return card
}

func hash(t *testing.T, c *Card) string {
	t.Helper()
	sum, err := c.Hash()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestHash(t *testing.T) {
	const a = `{"id":"a","task":"yesno","image":"ok.png","question":"Is it?","answers":["yes"]}`
	const b = `{"id":"b","task":"chart","question":"How many?","answers":["3"]}`
	base := toyCard(t, a, b)
	want := hash(t, base)
	// Golden: a change of this value makes every finished trial look new.
	const golden = "70a7d46c8f0a5ab46bad205e4f9bf5c5097eb632058272d598c1e0cafb17f7fd"
	if want != golden {
		t.Errorf("hash of the toy card: got %s, want %s", want, golden)
	}
	same := map[string]func(*Card){
		"rows in another order": func(c *Card) { c.rows["train"] = []Example{c.rows["train"][1], c.rows["train"][0]} },
		"title and licence":     func(c *Card) { c.Title, c.Licence = "other", "other" },
	}
	other := map[string]func(*Card){
		"an answer":   func(c *Card) { c.rows["train"][0].Answers = []string{"no"} },
		"the split":   func(c *Card) { c.rows["test"] = c.rows["train"]; delete(c.rows, "train") },
		"a row fewer": func(c *Card) { c.rows["train"] = c.rows["train"][:1] },
	}
	for name, change := range same {
		card := toyCard(t, a, b)
		change(card)
		if got := hash(t, card); got != want {
			t.Errorf("%s: the hash changed", name)
		}
	}
	for name, change := range other {
		card := toyCard(t, a, b)
		change(card)
		if got := hash(t, card); got == want {
			t.Errorf("%s: the hash did not change", name)
		}
	}

	changeFile(t, base.dir, "ok.png", func(b []byte) []byte { return append(b, 0) })
	if hash(t, base) == want {
		t.Error("image bytes: the hash did not change")
	}
	changeFile(t, base.dir, "card.cue", func(b []byte) []byte {
		return bytes.Replace(b, []byte("\tcoordinates"), []byte("\tsha256: \""+hash(t, base)+"\"\n\tcoordinates"), 1)
	})
	if _, err := LoadCard(base.path); err != nil {
		t.Errorf("a card with its own hash: %v", err)
	}
}

// Every picture of a row is in the hash, and so is their order; a list of one image is that image.
func TestHashOfPictures(t *testing.T) {
	row := func(pictures string) string {
		return `{"id":"a","task":"yesno",` + pictures + `,"question":"Is it?","answers":["yes"]}`
	}
	if hash(t, toyCard(t, row(`"image":"ok.png"`))) != hash(t, toyCard(t, row(`"images":["ok.png"]`))) {
		t.Error("a list of one image has another hash than the image")
	}
	seen := map[string]string{}
	for _, pictures := range []string{
		`"images":["ok.png"]`, `"images":["ok.png","wide.png"]`, `"images":["wide.png","ok.png"]`, `"images":["ok.png","ok.png"]`,
		`"video":["ok.png","ok.png"],"fps":2`, `"video":["ok.png","ok.png"],"fps":3`, `"video":["ok.png","ok.png","ok.png"],"fps":2`,
	} {
		sum := hash(t, toyCard(t, row(pictures)))
		if first, ok := seen[sum]; ok {
			t.Errorf("%s has the hash of %s", pictures, first)
		}
		seen[sum] = pictures
	}
}

func changeFile(t *testing.T, dir, name string, change func([]byte) []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	blob, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(blob), 0o644); err != nil {
		t.Fatal(err)
	}
}
