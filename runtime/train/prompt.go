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
	frame    reward.Frame // sizes of the first image, as loaded and resized
}

// prompter renders examples; it is safe for one lane.
type prompter struct {
	spec       spec.Prompt
	checkpoint *family.Checkpoint
	tok        *token.Tokenizer
}

// render loads the pictures and builds the prompt, pictures before the question. Errors name the example.
func (p *prompter) render(ex data.Example) (*prompt, error) {
	out := &prompt{example: ex}
	var err error
	if out.pictures, err = p.pictures(ex); err != nil {
		return nil, fmt.Errorf("example %s: %w", ex.ID, err)
	}
	conversation := chat.Ask(p.spec.System, question(p.spec, ex), len(out.pictures))
	for i, picture := range out.pictures {
		if picture.Video {
			conversation[len(conversation)-1].Content[i].Kind = chat.Video
		}
	}
	if len(ex.Images) > 0 { // boxes are in the first
		out.frame = reward.Frame{
			OriginalW: ex.ImageSize[0], OriginalH: ex.ImageSize[1],
			ResizedW: out.pictures[0].Width, ResizedH: out.pictures[0].Height,
		}
	}
	if out.Prompt, err = p.checkpoint.Prompt(p.tok, conversation, out.pictures); err != nil {
		return nil, fmt.Errorf("example %s: %w", ex.ID, err)
	}
	return out, nil
}

// pictures loads the images of an example, in order, or its video.
func (p *prompter) pictures(ex data.Example) (pictures []*models.Picture, err error) {
	var clips [][]string
	for _, path := range ex.Images {
		clips = append(clips, []string{path})
	}
	if len(ex.Video) > 0 {
		clips = append(clips, ex.Video)
	}
	limits := models.Limits{MinPixels: p.spec.MinPixels, MaxPixels: p.spec.MaxPixels}
	for _, paths := range clips {
		frames := make([]images.RGB, len(paths))
		for i, path := range paths {
			if frames[i], err = images.Load(path); err != nil {
				return nil, err
			}
		}
		picture, err := p.checkpoint.Model.Picture(frames, limits)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", paths[0], err)
		}
		if picture.Video {
			picture.FPS = ex.FPS
		}
		pictures = append(pictures, picture)
	}
	return pictures, nil
}

// question fills the task's template.
func question(s spec.Prompt, ex data.Example) string {
	var choices []string
	for i, c := range ex.Choices {
		choices = append(choices, fmt.Sprintf("%c. %s", 'A'+i, c))
	}
	return strings.NewReplacer("{question}", ex.Question, "{choices}", strings.Join(choices, "\n")).Replace(s.Templates[string(ex.Task)])
}
