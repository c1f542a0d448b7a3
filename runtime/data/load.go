package data

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"

	"mixr/runtime/spec"
)

// maxMistakes bounds how many mistakes one card reports; the rest are counted in a last line.
const maxMistakes = 20

// loadRows reads the files of all splits.
func (c *Card) loadRows() error {
	l := loader{card: c, seen: map[string]spec.Pos{}}
	c.rows, c.images = map[string][]Example{}, imageHeaders{}
	for _, split := range []string{"train", "test"} { // all that the schema allows
		for _, name := range c.Splits[split] {
			rows := l.file(name)
			c.rows[split] = append(c.rows[split], rows...)
		}
		slices.SortFunc(c.rows[split], canonicalOrder)
	}
	return l.mistakes().Err()
}

// loader collects the mistakes of all files of a card.
type loader struct {
	card  *Card
	seen  map[string]spec.Pos // where each id was first used
	found spec.Diagnostics
	more  int // mistakes beyond maxMistakes
}

func (l *loader) add(d spec.Diagnostic) {
	if len(l.found) == maxMistakes {
		l.more++
		return
	}
	l.found = append(l.found, d)
}

func (l *loader) mistakes() spec.Diagnostics {
	if l.more > 0 {
		l.found = append(l.found, spec.Diagnostic{Pos: spec.Pos{File: l.card.path}, Msg: fmt.Sprintf("and %d more mistakes in its rows", l.more)})
	}
	return l.found
}

// file reads one JSONL file. Blank lines are passed over.
func (l *loader) file(name string) (rows []Example) {
	path := filepath.Join(filepath.Dir(l.card.path), name)
	text, err := os.ReadFile(path)
	if err != nil {
		l.add(spec.Diagnostic{Pos: spec.Pos{File: l.card.path}, Path: "dataset.splits", Msg: err.Error(),
			Hint: "row files are relative to the card"})
		return nil
	}
	pos, blank := spec.Pos{File: path, Col: 1}, true
	for line := range bytes.Lines(text) {
		pos.Line++
		line = bytes.TrimRight(line, "\r\n")
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		blank = false
		r, broken := parseRow(line)
		if broken != nil {
			l.flaw(pos, r.ID, *broken)
			continue
		}
		ex, wrong := l.card.example(r)
		ex.pos = pos
		if first, used := l.seen[r.ID]; used && r.ID != "" {
			wrong.add("ids are unique in a card, over all splits", "id already used at %s:%d", first.File, first.Line)
		}
		l.seen[r.ID] = pos
		for _, f := range wrong {
			l.flaw(pos, r.ID, f)
		}
		rows = append(rows, ex)
	}
	if blank {
		l.add(spec.Diagnostic{Pos: spec.Pos{File: path}, Msg: "no rows", Hint: "write one JSON object a line, or take the file off the card"})
	}
	return rows
}

func (l *loader) flaw(pos spec.Pos, id string, f flaw) {
	pos.Col = max(1, f.col)
	d := spec.Diagnostic{Pos: pos, Msg: f.msg, Hint: f.hint}
	if id != "" {
		d.Path = fmt.Sprintf("row %q", id)
	}
	l.add(d)
}

// canonicalOrder sorts examples by a hash of their id, so that nothing depends on how rows are ordered on disk and
// every prefix is a fair selection.
func canonicalOrder(a, b Example) int {
	return cmp.Or(cmp.Compare(hashID(a.ID), hashID(b.ID)), cmp.Compare(a.ID, b.ID))
}

func hashID(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return mix64(h.Sum64())
}
