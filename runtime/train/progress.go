package train

import (
	"encoding/json"
	"fmt"

	"mixr/runtime/grpo"
	"mixr/runtime/monitor"
)

// progress is what the engine remembers of the updates so far, beside weights and moments: the small state of a checkpoint. Its values
// are finite.
type progress struct {
	Applied int `json:"applied"` // updates that were made, which is what AdamW's bias correction counts
	Skipped int `json:"skipped"` // updates that were not, because their gradient was not finite
	Row     int `json:"row"`     // of these, the last ones, with none between that was made

	Tasks    grpo.Running  `json:"tasks,omitempty"`   // moments of the rewards of each task, of advantage.scale task
	Monitors monitor.State `json:"monitors,omitzero"` // of the health monitors
}

// seal is the text of the state as it is now, for a checkpoint of this step: the next step may change it before the checkpoint is written.
func (p *progress) seal() (json.RawMessage, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("state of the engine: %w", err)
	}
	return text, nil
}

// skip notes an update whose gradient has a norm that is not finite, and which is not made. index counts updates from 0. It fails with
// *Diverged, noting nothing, where as many as the limit says have been skipped one after the other.
func (p *progress) skip(index, limit int, norm float64) error {
	if p.Row >= limit {
		return &Diverged{Update: index + 1, Norm: norm, Skipped: p.Row}
	}
	p.Skipped++
	p.Row++
	return nil
}

// Diverged is returned when the gradient of an update is not finite and skip_limit updates before it were skipped for the same reason.
// None of them was made: weights and moments are those of the last update with a finite gradient.
type Diverged struct {
	Update  int // from 1
	Norm    float64
	Skipped int // updates just before it that were skipped
}

func (e *Diverged) Error() string {
	before := ""
	if e.Skipped > 0 {
		before = fmt.Sprintf(", as in the %d updates before it, which were skipped", e.Skipped)
	}
	return fmt.Sprintf("update %d: the gradient norm is %v%s: the run has diverged; lower learning_rate or grad_clip", e.Update, e.Norm, before)
}
