package reward

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/data"
)

// These tests read real model outputs kept beside the repository. The expectations recorded there hold the errors of
// their authors' extractors, so agreement is a rate with a floor; -v prints the rates, and disagreements were read.

type outputRow struct {
	ID           string
	QuestionType string `json:"question_type"`
	Answer       any    // a string, in MMMU sometimes a list, in R1-V sometimes a number
	Choices      []string
	Response     string
	Extraction   any   `json:"expected_extraction"`
	Correct      *bool `json:"expected_correct"`
}

func sharedRows[T any](t *testing.T, path ...string) []T {
	t.Helper()
	name := filepath.Join(append([]string{"..", "..", "..", "shared", "data"}, path...)...)
	f, err := os.Open(name)
	if err != nil {
		t.Skipf("%s is not beside the repository", filepath.Join(path...))
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		lines = bufio.NewScanner(z)
	}
	lines.Buffer(nil, 1<<24)
	var rows []T
	for lines.Scan() {
		var r T
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

// rate reports a share and fails below its floor.
func rate(t *testing.T, what string, n, of int, floor float64) {
	t.Helper()
	share := float64(n) / float64(of)
	t.Logf("%s: %d of %d (%.2f %%)", what, n, of, 100*share)
	if share < floor {
		t.Errorf("%s: %.4f, want at least %.4f", what, share, floor)
	}
}

// TestPOPEAgreement compares with POPE's own rule: in the first sentence the words No, no or not mean no.
func TestPOPEAgreement(t *testing.T) {
	rows := sharedRows[outputRow](t, "eval_cases", "pope_llava15_outputs.jsonl.gz")
	parsed, agree := 0, 0
	for _, r := range rows {
		v, ok := firstTruth(r.Response)
		if ok {
			parsed++
		}
		sentence, _, _ := strings.Cut(r.Response, ".")
		no := slices.ContainsFunc(strings.Fields(strings.ReplaceAll(sentence, ",", "")), func(w string) bool {
			return w == "No" || w == "no" || w == "not"
		})
		if ok && v == !no {
			agree++
		}
	}
	rate(t, "parsed", parsed, len(rows), 1)
	rate(t, "agree with POPE's rule", agree, len(rows), 1)
}

// TestMMMUChoices: outputs of untuned models in free text. What is not parsed names its option only inside a sentence
// ("The tissue is cardiac muscle"), or several options.
func TestMMMUChoices(t *testing.T) {
	n, parsed, right := 0, 0, 0
	for _, r := range sharedRows[outputRow](t, "eval_cases", "mmmu_outputs.jsonl.gz") {
		if r.QuestionType != "multiple-choice" {
			continue
		}
		n++
		i, note := choice{letters: true, texts: true}.read(r.Response, r.Choices)
		if note == "" {
			parsed++
			if r.Answer == fmt.Sprintf("%c", 'A'+i) {
				right++
			}
		}
	}
	rate(t, "parsed", parsed, n, 0.88)
	t.Logf("right: %d", right)
}

// TestR1VAgreement: outputs of a policy trained for the format, with the authors' extraction and verdict. They compare
// numbers exactly (ours: within 5 %), drop units of roots and pi ("2sqrt(3)" is 2) and read answers without a block.
func TestR1VAgreement(t *testing.T) {
	var n, format, block, same, judged, agree int
	for _, r := range sharedRows[outputRow](t, "eval_cases", "r1v_geoqa_clevr_outputs.jsonl.gz") {
		n++
		if wellFormed(r.Response) {
			format++
		}
		answer, ok := lastAnswer(r.Response)
		if !ok {
			continue
		}
		block++
		if r.Extraction != nil {
			ours, ok1 := readQuantity(answer)
			text := fmt.Sprint(r.Extraction)
			theirs, ok2 := readQuantity(text)
			if answer == text || ok1 && ok2 && closeTo(ours.value, theirs.value, 1e-9) {
				same++
			}
		}
		if r.Correct != nil {
			judged++
			if (chart{tolerance: 0.05}).matches(answer, fmt.Sprint(r.Answer)) == *r.Correct {
				agree++
			}
		}
	}
	t.Logf("well-formed: %d, with an answer block: %d of %d", format, block, n)
	rate(t, "same extraction", same, block, 0.9)
	rate(t, "same verdict", agree, judged, 0.93)
}

type datasetRow struct {
	ID        string
	Task      data.Task
	Answers   []string
	Choices   []string
	Boxes     []data.Box
	ImageSize *[2]int `json:"image_size"`
}

// TestGoldOfDatasets: every row of the real data sets can be scored against, and its own gold scores 1.
func TestGoldOfDatasets(t *testing.T) {
	s := newScorer(t, experiment())
	for _, source := range []string{"nlvr", "nlvr_grounding", "coco_mini", "mathvision", "tabmwp", "sroie", "opencqa", "gsm8k"} {
		t.Run(source, func(t *testing.T) {
			for _, r := range sharedRows[datasetRow](t, source, "data.jsonl") {
				ex := data.Example{ID: r.ID, Task: r.Task, Answers: r.Answers, Choices: r.Choices, Boxes: r.Boxes}
				var frame Frame
				answer := ""
				if len(r.Answers) > 0 {
					answer = r.Answers[0]
				}
				if r.ImageSize != nil {
					ex.ImageSize = *r.ImageSize
					frame = Frame{ex.ImageSize[0], ex.ImageSize[1], ex.ImageSize[0], ex.ImageSize[1]}
				}
				if r.Task == data.Grounding {
					answer = ""
					for _, b := range r.Boxes {
						answer += fmt.Sprintf("{\"bbox_2d\": [%v, %v, %v, %v]}\n", b[0], b[1], b[2], b[3])
					}
				}
				got, err := s.Score(ex, "<think>t</think><answer>"+answer+"</answer>", frame)
				if err != nil {
					t.Error(err)
				} else if got.TaskScore() < 1-1e-6 || *got.Format != 1 {
					t.Errorf("%s (%s): the gold %q scores %v (%s)", ex.ID, ex.Task, answer, got.TaskScore(), got.Note)
				}
			}
		})
	}
}
