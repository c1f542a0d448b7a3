package data

import (
	"fmt"
	"slices"
	"strings"
)

// example checks a row against the card and its images, and turns it into an Example; found holds every mistake.
func (c *Card) example(r row) (ex Example, found flaws) {
	ex = Example{ID: r.ID, Task: r.Task, Question: r.Question, Answers: r.Answers, Choices: r.Choices}
	if strings.TrimSpace(r.ID) == "" {
		found.add("give every row an id that never changes", "id is empty")
	}
	if strings.TrimSpace(r.Question) == "" {
		found.add("write what is asked, or remove the row", "question is empty")
	}
	if r.Target != nil {
		if ex.Target = *r.Target; strings.TrimSpace(ex.Target) == "" {
			found.add("write the completion to learn, or remove the field", "target is empty")
		}
	}
	found = append(found, c.pictures(r, &ex)...)
	for i, a := range r.Answers {
		if strings.TrimSpace(a) == "" {
			found.add("write the answer or remove it", "answers[%d] is empty", i)
		}
	}
	if r.Task != MCQ && len(r.Choices) > 0 {
		found.add("remove choices, or make the task mcq", "choices in a row of task %s", r.Task)
	}
	if r.Task != Grounding && len(r.Boxes) > 0 {
		found.add("remove boxes, or make the task grounding", "boxes in a row of task %s", r.Task)
	}
	switch {
	case !slices.Contains(Tasks, r.Task):
		found.add("want one of yesno, mcq, chart, grounding, open", "unknown task %q", r.Task)
	case !slices.Contains(c.Tasks, r.Task):
		found.add("add it to the card's tasks", "task %q is not among the card's tasks %v", r.Task, c.Tasks)
	case r.Task == YesNo:
		if len(r.Answers) != 1 || r.Answers[0] != "yes" && r.Answers[0] != "no" {
			found.add("", `answers: got %q, want ["yes"] or ["no"]`, r.Answers)
		}
	case r.Task == MCQ:
		found = append(found, checkChoice(r)...)
	case r.Task == Grounding:
		boxes, wrong := c.boxes(r, ex.ImageSize)
		ex.Boxes, found = boxes, append(found, wrong...)
	case len(r.Answers) == 0:
		found.add("give at least one accepted answer", "answers is empty")
	}
	return ex, found
}

// checkChoice checks the options and the answer of an mcq row: the letter, then the option's text if given.
func checkChoice(r row) (found flaws) {
	if n := len(r.Choices); n < 2 || n > 26 {
		found.add("list the options in order A, B, C ...", "choices: got %d options, want 2 to 26", n)
		return found
	}
	for i, option := range r.Choices {
		if strings.TrimSpace(option) == "" {
			found.add("write the option's text", "choices[%d] is empty", i)
		} else if first := slices.Index(r.Choices, option); first < i {
			found.add("make the options differ, or there is no one right answer", "choices[%d] repeats choices[%d]: %q", i, first, option)
		}
	}
	last := 'A' + rune(len(r.Choices)) - 1
	if len(r.Answers) == 0 || len(r.Answers) > 2 || len(r.Answers[0]) != 1 || r.Answers[0] < "A" || r.Answers[0] > "Z" {
		found.add("", `answers: got %q, want the letter, then the option's text if you like: ["B"] or ["B", "blue"]`, r.Answers)
		return found
	}
	letter := rune(r.Answers[0][0])
	if letter > last {
		found.add("correct the letter or add the option", "answers: got letter %c, want A to %c: there are %d choices", letter, last, len(r.Choices))
		return found
	}
	if right := r.Choices[letter-'A']; len(r.Answers) == 2 && r.Answers[1] != right {
		if i := slices.Index(r.Choices, r.Answers[1]); i >= 0 {
			found.add("letter and text must name the same option", "answers: %c is %q but %q is %c", letter, right, r.Answers[1], 'A'+rune(i))
		} else {
			found.add(fmt.Sprintf("choice %c is %q", letter, right), "answers: %q is not among the choices %q", r.Answers[1], r.Choices)
		}
	}
	return found
}

// boxes converts the boxes of a row from the card's space to pixels of the stored image and checks that they lie in it;
// up to one pixel outside is clipped, because annotations that were scaled with their image overshoot by a fraction.
// size is 0, 0 where the image could not be read; its bounds are then not checked.
func (c *Card) boxes(r row, size [2]int) (boxes []Box, found flaws) {
	if len(r.Boxes) == 0 {
		found.add("give at least one box [x1, y1, x2, y2]", "boxes is empty")
	}
	width, height := float64(size[0]), float64(size[1])
	toPixels := [2]float64{1, 1}
	switch c.Coordinates {
	case "norm1000":
		toPixels = [2]float64{width / 1000, height / 1000}
	case "norm1":
		toPixels = [2]float64{width, height}
	}
	for i, b := range r.Boxes {
		switch {
		case len(b) != 4:
			found.add("want x1, y1, x2, y2", "boxes[%d] has %d numbers", i, len(b))
			continue
		case !(b[0] < b[2] && b[1] < b[3]):
			found.add("order is x1, y1, x2, y2 with x1 < x2 and y1 < y2; is it x, y, width, height?", "boxes[%d] is empty or inverted: %v", i, b)
			continue
		case size == [2]int{}:
			continue
		}
		px := Box{b[0] * toPixels[0], b[1] * toPixels[1], b[2] * toPixels[0], b[3] * toPixels[1]}
		clipped := Box{max(0, px[0]), max(0, px[1]), min(width, px[2]), min(height, px[3])}
		if min(px[0], px[1]) < -1 || px[2] > width+1 || px[3] > height+1 || clipped[0] >= clipped[2] || clipped[1] >= clipped[3] {
			found.add("clip it, or correct the card's coordinates", "boxes[%d] leaves the image of %d x %d pixels: %v (%s)", i, size[0], size[1], b, c.Coordinates)
		}
		boxes = append(boxes, clipped)
	}
	return boxes, found
}
