// Package models says what every policy family offers to the rest of mixr: the graphs of its parts, its parameters and where they
// stand in a checkpoint, and the host code that turns conversations and pictures into what the graphs are fed.
//
// A family is a folder beside this one that implements Model. The interface never holds a weight and never runs a graph.
//
// Shapes: T tokens of a prompt, M merged visual tokens (rows of the vision tower's features), D width, E head width.
package models

import (
	"mixr/runtime/chat"
	"mixr/runtime/graph"
	"mixr/runtime/images"
	"mixr/runtime/models/decoder"
	"mixr/runtime/nn"
	"mixr/runtime/token"
)

// Model is one architecture with the sizes of one checkpoint.
type Model interface {
	Family() string           // as in policy.family
	Decoder() *decoder.Config // of the language side
	Stop() []int              // tokens that end a completion, not empty
	EndOfTurn() int           // the token that a supervised target ends with; one of Stop

	// Specs lists every parameter, in the order of the data flow, under the names of Locate's canonical layout.
	Specs() []nn.Spec
	// Module names the part that a parameter belongs to: vision (the tower), merger, embedding or decoder (layers, final norm and an
	// untied head). A tied head is the embedding.
	Module(param string) string
	// Init fills dst with the random initial value of a parameter.
	Init(s nn.Spec, seed uint64, dst []float32)
	// Locate says where a parameter stands in a checkpoint that holds the tensors of has. The pieces are joined along dim 0. What
	// Locate names need not exist: the first missing tensor is what an error should name.
	Locate(param string, has func(tensor string) bool) []Piece
	// StoredShape is a parameter's shape in a checkpoint, which differs where a matrix here is a convolution there: dim 0 and the
	// order of the elements are the same.
	StoredShape(s nn.Spec) []int

	// Tower adds the vision part to a graph, declares its inputs, and returns the features [M, D]. nil if the family reads text alone.
	Tower(g *graph.Graph, p *nn.Params) *graph.Value
	// Feed is what the inputs of Tower hold for these pictures, in order. It needs at least one.
	Feed(pictures []*Picture) []Input
	// Picture turns one image, or the frames of one video, into what the tower reads, resized to an area within the limits.
	Picture(frames []images.RGB, limits Limits) (*Picture, error)
	// Blank is the smallest picture; it stands where a graph must be fed one and no token reads it.
	Blank() *Picture

	// Render writes a conversation as the family's text, opened for the assistant's answer, one placeholder a picture: what a
	// checkpoint without a chat template of its own gets.
	Render(messages []chat.Message) (string, error)
	// Prompt turns rendered text into token ids and positions. Each picture's placeholder becomes its tokens.
	Prompt(tok *token.Tokenizer, text string, pictures []*Picture) (*Prompt, error)
	// Place is the second half of Prompt: token ids with the pictures' tokens among them get their positions and feature rows.
	Place(ids []int, pictures []*Picture) (*Prompt, error)
	// CheckTokenizer compares a tokenizer with the configuration.
	CheckTokenizer(tok *token.Tokenizer) error
}

// Piece is a stretch of a stored tensor.
type Piece struct {
	Tensor   string
	From, To int // rows of dim 0, [From, To); To = 0: all of them
}

// Whole is the tensor of that name.
func Whole(tensor string) []Piece { return []Piece{{Tensor: tensor}} }

// Limits bound the area of a picture after resizing, in pixels.
type Limits struct{ MinPixels, MaxPixels int }

// Picture is an image or a video as a family's tower reads it.
type Picture struct {
	Pixels []float32 // patches, normalised, in the family's order
	Tokens int       // merged visual tokens, rows of the features
	Grid   [3]int    // frames, rows and columns of the family's patches (of its tiles, where it cuts the picture in tiles)
	// Width and Height are the size after resizing in pixels: the space of coordinates that the model writes.
	Width, Height int
	Video         bool
	// FPS is the frame rate at which a video's frames were taken, frames per second. Picture sets 2; the caller may set the rate that it
	// knows. Families whose positions do not tell time leave it aside.
	FPS float64
}

// Input is the content of one graph input. One of the slices is set.
type Input struct {
	Name  string
	Shape []int
	F32   []float32
	I64   []int64
}

// Prompt is a conversation as the decoder reads it.
type Prompt struct {
	IDs  []int    // [T]
	Pos  [3][]int // [T] each: positions on the axes t, h and w; equal for families without M-RoPE
	Next int      // position of the first completion token on every axis
	// Feature is the row of the pictures' features that stands at each token, -1 where the token is text: [T]. Rows count through all
	// pictures of the prompt.
	Feature []int
}

// TextPrompt is a prompt without pictures.
func TextPrompt(ids []int) *Prompt {
	p := &Prompt{IDs: ids, Next: len(ids), Feature: make([]int, len(ids))}
	for axis := range p.Pos {
		p.Pos[axis] = make([]int, len(ids))
	}
	for i := range ids {
		p.Feature[i] = -1
		for axis := range p.Pos {
			p.Pos[axis][i] = i
		}
	}
	return p
}
