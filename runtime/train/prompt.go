package train

import (
	"fmt"
	"strings"

	"mixr/runtime/chat"
	"mixr/runtime/data"
	"mixr/runtime/images"
	"mixr/runtime/models"
	"mixr/runtime/models/family"
	"mixr/runtime/reward"
	"mixr/runtime/spec"
	"mixr/runtime/token"
)

// prompt is an example as the policy sees it.
type prompt struct {
	example data.Example
	*models.Prompt
	pictures []*models.Picture
	frame    reward.Frame // sizes of the stored and of the resized image
}

// prompter renders examples; it is safe for one lane.
type prompter struct {
	spec       spec.Prompt
	checkpoint *family.Checkpoint
	tok        *token.Tokenizer
}

// render loads the image and builds the prompt. Errors name the example.
func (p *prompter) render(ex data.Example) (*prompt, error) {
	out := &prompt{example: ex}
	if ex.Image != "" {
		img, err := images.Load(ex.Image)
		if err != nil {
			return nil, fmt.Errorf("example %s: %w", ex.ID, err)
		}
		picture, err := p.checkpoint.Model.Picture([]images.RGB{img}, models.Limits{MinPixels: p.spec.MinPixels, MaxPixels: p.spec.MaxPixels})
		if err != nil {
			return nil, fmt.Errorf("example %s: image %s: %w", ex.ID, ex.Image, err)
		}
		out.pictures = []*models.Picture{picture}
		out.frame = reward.Frame{
			OriginalW: ex.ImageSize[0], OriginalH: ex.ImageSize[1],
			ResizedW: picture.Width, ResizedH: picture.Height,
		}
	}
	var err error
	conversation := chat.Ask(p.spec.System, question(p.spec, ex), len(out.pictures))
	if out.Prompt, err = p.checkpoint.Prompt(p.tok, conversation, out.pictures); err != nil {
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
