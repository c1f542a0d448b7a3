package data

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"mixr/runtime/spec"
)

// Set is the loaded data of an experiment: the examples of each source, training and held out.
type Set struct {
	cards   map[string]*Card // by source, like the others
	train   map[string][]Example
	test    map[string][]Example
	weights map[string]float64
}

// Cards keeps cards by path with what reading them gave, so that the experiments of a study read each card once.
type Cards map[string]opened

type opened struct {
	card *Card // nil where there are mistakes in it
	err  error
}

// open is LoadCard, the first time.
func (c Cards) open(path string) (*Card, error) {
	o, known := c[path]
	if !known {
		o.card, o.err = LoadCard(path)
		c[path] = o
	}
	return o.card, o.err
}

// Load is Cards.Load for a single experiment.
func Load(sources map[string]spec.Source, baseDir string) (*Set, error) {
	return Cards{}.Load(sources, baseDir)
}

// Load reads the cards of all sources, relative to baseDir unless absolute, where they are not known yet. A source is the rows of
// its task; limit keeps the first limit training rows in canonical order, so that a smaller limit is a subset of a
// larger one and does not move with the seed. Held-out rows are never limited. Either split may lack the task, not both. All mistakes of all cards are returned
// together as spec.Diagnostics.
func (c Cards) Load(sources map[string]spec.Source, baseDir string) (*Set, error) {
	s := &Set{cards: map[string]*Card{}, train: map[string][]Example{}, test: map[string][]Example{}, weights: map[string]float64{}}
	reported := map[string]bool{}
	var mistakes spec.Diagnostics
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		src := sources[name]
		path := src.Card
		if !filepath.IsAbs(path) {
			path = filepath.Join(baseDir, path)
		}
		card, err := c.open(path)
		var found spec.Diagnostics
		switch {
		case errors.As(err, &found):
			if !reported[path] { // sources may share a card
				mistakes, reported[path] = append(mistakes, found...), true
			}
			continue
		case err != nil:
			return nil, fmt.Errorf("source %q: %w", name, err)
		}
		train, test := sourceRows(card, "train", name, Task(src.Task)), sourceRows(card, "test", name, Task(src.Task))
		if len(train)+len(test) == 0 {
			mistakes = append(mistakes, spec.Diagnostic{Pos: spec.Pos{File: path},
				Msg:  fmt.Sprintf("source %q: no rows with task %q", name, src.Task),
				Hint: fmt.Sprintf("the card has %s", taskCounts(slices.Concat(card.Rows("train"), card.Rows("test"))))})
		}
		if src.Limit > 0 && len(train) > src.Limit {
			train = train[:src.Limit]
		}
		s.weights[name] = src.Weight
		s.cards[name], s.train[name], s.test[name] = card, train, test
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// Sources returns the names of the sources, sorted.
func (s *Set) Sources() []string { return slices.Sorted(maps.Keys(s.cards)) }

// Card returns the card of a source, nil if there is no such source.
func (s *Set) Card(source string) *Card { return s.cards[source] }

// Train returns the training examples of a source in canonical order.
func (s *Set) Train(source string) []Example { return s.train[source] }

// EvalSet returns the first n held-out examples of a source in canonical order (all if there are fewer, none if the card has no
// test split), so that all
// runs on the same data, whatever their seed, are evaluated on the same examples.
func (s *Set) EvalSet(source string, n int) []Example {
	test := s.test[source]
	return test[:min(n, len(test))]
}

// Mix mixes the training examples of all sources by their weights; see NewMix.
func (s *Set) Mix(seed uint64) (*Mix, error) {
	return NewMix(s.train, s.weights, seed)
}

// sourceRows is the rows of one task of a split, marked with the name of the source.
func sourceRows(card *Card, split, source string, task Task) []Example {
	var rows []Example
	for _, ex := range card.Rows(split) {
		if ex.Task == task {
			ex.Source = source
			rows = append(rows, ex)
		}
	}
	return rows
}

// taskCounts is "12 yesno, 3 mcq".
func taskCounts(rows []Example) string {
	counts := map[Task]int{}
	for _, ex := range rows {
		counts[ex.Task]++
	}
	text := ""
	for _, task := range Tasks {
		if counts[task] > 0 {
			text += fmt.Sprintf(", %d %s", counts[task], task)
		}
	}
	if text == "" {
		return "no rows"
	}
	return text[2:]
}
