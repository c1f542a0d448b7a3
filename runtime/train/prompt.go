package train

import (
	"fmt"
	"strings"

	"mixr/runtime/data"
	"mixr/runtime/models/qwen25vl"
	"mixr/runtime/reward"
	"mixr/runtime/spec"
	"mixr/runtime/token"
)

// prompt is an example as the policy sees it.
type prompt struct {
	example data.Example
	ids     []int    // T tokens, image placeholders included
	pos     [3][]int // M-RoPE positions (time, height, width) of each token
	next    int      // position of the first completion token, equal in all three
	patches []*qwen25vl.Patches
	frame   reward.Frame // sizes of the stored and of the resized image
}

// prompter renders examples; it is safe for one lane.
type prompter struct {
	spec   spec.Prompt
	config *qwen25vl.Config
	tok    *token.Tokenizer
}

// render loads the image and builds the prompt. Errors name the example.
func (p *prompter) render(ex data.Example) (*prompt, error) {
	out := &prompt{example: ex}
	var grids []qwen25vl.Grid
	if ex.Image != "" {
		img, err := qwen25vl.LoadImage(ex.Image)
		if err != nil {
			return nil, fmt.Errorf("example %s: %w", ex.ID, err)
		}
		patches, err := qwen25vl.Preprocess(img, p.spec.MinPixels, p.spec.MaxPixels)
		if err != nil {
			return nil, fmt.Errorf("example %s: image %s: %w", ex.ID, ex.Image, err)
		}
		out.patches = []*qwen25vl.Patches{patches}
		grids = append(grids, patches.Grid)
		out.frame = reward.Frame{
			OriginalW: ex.ImageSize[0], OriginalH: ex.ImageSize[1],
			ResizedW: patches.Width, ResizedH: patches.Height,
		}
	}
	ids, err := qwen25vl.RenderChat(p.tok, p.spec.System, question(p.spec, ex), grids)
	if err != nil {
		return nil, fmt.Errorf("example %s: %w", ex.ID, err)
	}
	out.ids = ids
	if out.pos, out.next, err = p.config.Positions(ids, grids); err != nil {
		return nil, fmt.Errorf("example %s: %w", ex.ID, err)
	}
	return out, nil
}

// question fills the task's template.
func question(s spec.Prompt, ex data.Example) string {
	var choices []string
	for i, c := range ex.Choices {
		choices = append(choices, fmt.Sprintf("%c. %s", 'A'+i, c))
	}
	return strings.NewReplacer("{question}", ex.Question, "{choices}", strings.Join(choices, "\n")).Replace(s.Templates[string(ex.Task)])
}
