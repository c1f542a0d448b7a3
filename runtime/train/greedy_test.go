package train

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mixr/runtime/chat"
	"mixr/runtime/compile"
	"mixr/runtime/models/family"
	"mixr/runtime/ort/orttest"
	"mixr/runtime/spec"
)

// A real checkpoint, read from its folder, asked through its own chat template and decoded over the cache, answers as transformers
// does, token for token (bench/greedy_fixture.py). The checkpoint is not part of the repository. MIXR_GREEDY=all asks all questions.
func TestGreedyAnswersOfARealModel(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "models", "minimind2-small")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("needs MiniMind2-Small in %s", dir)
	}
	text, err := os.ReadFile("testdata/greedy.json")
	check(t, err)
	var asked []struct {
		Question       string
		Prompt, Answer []int
	}
	check(t, json.Unmarshal(text, &asked))
	if len(asked) < 50 {
		t.Fatalf("%d questions", len(asked))
	}
	policy, err := family.Load(dir)
	check(t, err)
	program, err := compile.Compile(&spec.Experiment{Stage: "eval"}, policy.Model)
	check(t, err)
	m, err := openModel(orttest.Open(t), program, 1)
	check(t, err)
	defer m.Close()
	check(t, m.read(dir, nil))
	l, err := m.openLane(nil, nil)
	check(t, err)
	defer l.Close()
	for i, q := range asked {
		if i%5 != 0 && os.Getenv("MIXR_GREEDY") != "all" {
			continue // all of them take a minute
		}
		p := &prompt{}
		p.Prompt, err = policy.Prompt(policy.Tokenizer, chat.Ask("", q.Question, 0), nil)
		check(t, err)
		if !slices.Equal(p.IDs, q.Prompt) {
			t.Errorf("%s: prompt\n got %v\nwant %v", q.Question, p.IDs, q.Prompt)
			continue
		}
		got, err := m.sample(l, p, nil, sampling{count: 1, maxTokens: 64, stop: policy.Model.Stop()})
		check(t, err)
		if !slices.Equal(got[0].tokens, q.Answer) {
			t.Errorf("%s: answer\n got %v\nwant %v", q.Question, got[0].tokens, q.Answer)
		}
	}
}
