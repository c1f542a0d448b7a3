package data

import "mixr/runtime/spec"

// Task is one of the five task types; the same words stand in CUE, Go, Parquet and on the command line.
type Task string

const (
	YesNo     Task = "yesno"
	MCQ       Task = "mcq"
	Chart     Task = "chart"
	Grounding Task = "grounding"
	Open      Task = "open"
)

// Tasks lists all task types in their fixed order.
var Tasks = []Task{YesNo, MCQ, Chart, Grounding, Open}

// Box is x1, y1, x2, y2 in pixels of the example's first image, upright, x1 < x2 and y1 < y2.
type Box [4]float64

// Example is one row of a source: what is asked, about which images or video, and what counts as right.
//
//	{ID: "nlvr-dev-1572-0/count-3", Task: Chart, Source: "nlvr_chart", Images: []string{"/abs/images/dev-1572-0.png"},
//	 ImageSize: [2]int{400, 100}, Question: "How many yellow objects are there?", Answers: ["6"]}
type Example struct {
	ID        string // unique within the data set, stable
	Source    string // name of the source in the mix
	Task      Task
	Images    []string // absolute paths, in the order in which the prompt shows them
	ImageSize [2]int   // width, height in pixels of the first image, upright
	Video     []string // absolute paths of a video's frames, two or more of one size; an example has no images beside it
	FPS       float64  // frames per second at which Video was taken; 0 without one
	Question  string
	Answers   []string // accepted answers; mcq: the letter first, then the option's text; open: reference texts
	Choices   []string // mcq: option texts in order A, B, C ...
	Boxes     []Box    // grounding: gold boxes
	Target    string   // sft: the completion to learn; empty where the data set has none

	pos spec.Pos
}

// Pos is the line that the example was read from, for messages; zero for one that was read from no file. It is in no hash.
func (e Example) Pos() spec.Pos { return e.pos }
