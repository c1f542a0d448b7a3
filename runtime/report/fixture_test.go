package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mixr/runtime/table"
)

func ptr[T any](x T) *T { return &x }

// evalRow is one answer to example i of a source; right ones have reward 1.
func evalRow(source, task string, i int, when string, right bool) table.Eval {
	e := table.Eval{
		When: when, ExampleID: fmt.Sprintf("%s-%03d", source, i), ItemSHA: fmt.Sprintf("%s#%d", source, i),
		Source: source, Task: task, Finish: "eos", NumTok: 3, Parsed: true, Correct: &right,
		Question: ptr(fmt.Sprintf("How many objects are in picture %d?", i)), Image: ptr(fmt.Sprintf("images/%d.png", i)), Gold: ptr("6"),
		Completion: "<answer>5</answer>",
	}
	if when == after {
		e.Step = 4
	}
	if right {
		e.Reward, e.Completion = 1, "<think>I count six of them, three on the left and three on the right.</think><answer>6</answer>"
	}
	return e
}

// writeRun makes a finished run of four steps with the given evaluation.
func writeRun(t testing.TB, results, name string, m table.Manifest, prov table.Provenance, eval []table.Eval) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	m.Stage, m.Steps = "grpo", 4
	r, err := table.Create(filepath.Join(results, name), m)
	must(err)
	if prov != nil {
		text, err := json.MarshalIndent(prov, "", "  ")
		must(err)
		must(r.WriteFile(table.ProvenanceFile, text))
	}
	must(table.Write(r, 0, 0, at(eval, before)))
	must(r.Commit(0))
	for s := 1; s <= 4; s++ {
		must(table.Write(r, s, s, []table.Metrics{{
			Step: int32(s), Loss: ptr(0.1 / float64(s)), LR: 1e-3, RewardMean: ptr(float64(s) / 8), KL: ptr(0.0), LenMean: ptr(20.0), NumCompletions: 16,
		}}))
		if on := onTheWay(eval, s); on != nil {
			must(table.Write(r, s, s, on))
		}
		must(table.Write(r, s, s, []table.Timing{{
			Step: int32(s), Attempt: 1, WallS: 1.5, TokPerS: ptr(200.0), HostPeakB: 512e6, TEnd: time.Unix(1.7e9, 0),
		}}))
	}
	must(os.MkdirAll(r.CheckpointDir(4), 0o755))
	must(r.Commit(4))
	must(table.Write(r, 4, 4, at(eval, after)))
	must(r.Finish(table.End{Summary: map[string]float64{table.RewardBefore: 0.25, table.RewardAfter: 0.5}}))
	return r.Dir()
}

// onTheWay picks the rows of an evaluation in the course of training.
func onTheWay(rows []table.Eval, step int) (of []table.Eval) {
	for _, r := range at(rows, "during") {
		if int(r.Step) == step {
			of = append(of, r)
		}
	}
	return of
}

func hash(c string) string { return strings.Repeat(c, 64) }

// twoRuns are A and B: same data, another KL weight, another ONNX Runtime. B turns 12 of 40 yesno answers right and 4
// wrong, and 5 of 20 chart answers right; the other answers stay.
func twoRuns(t *testing.T) (results, dirA, dirB string) {
	t.Helper()
	results = t.TempDir()
	var a, b []table.Eval
	for i := range 40 {
		a = append(a, evalRow("nlvr", "yesno", i, before, i%4 == 0), evalRow("nlvr", "yesno", i, after, i < 20))
		b = append(b, evalRow("nlvr", "yesno", i, before, i%4 == 0), evalRow("nlvr", "yesno", i, after, i >= 4 && i < 32))
	}
	for i := range 20 {
		a = append(a, evalRow("nlvr_chart", "chart", i, before, false), evalRow("nlvr_chart", "chart", i, after, false))
		b = append(b, evalRow("nlvr_chart", "chart", i, before, false), evalRow("nlvr_chart", "chart", i, after, i < 5))
	}
	manifest := func(seed uint64, fp, ort string) table.Manifest {
		return table.Manifest{
			Name: "quickstart", Seed: seed,
			Fingerprint: map[string]string{"combined": hash(fp), "spec": hash(fp), "data": hash("d")},
			Versions:    map[string]string{"mixr": "v0.1.0", "onnxruntime": ort, "platform": "linux/amd64"},
		}
	}
	prov := func(kl, where string) table.Provenance {
		return table.Provenance{
			"name":           {Value: json.RawMessage(`"quickstart"`), Writers: []string{"experiments/quickstart.cue:3:7"}},
			"grpo.kl":        {Value: json.RawMessage(kl), Writers: []string{where, "experiments/base.cue:9:3"}},
			"grpo.loss":      {Value: json.RawMessage(`"dr_grpo"`), Writers: []string{}},
			"policy.freeze":  {Value: json.RawMessage(`["vision"]`), Writers: []string{"experiments/quickstart.cue:8:3"}},
			"grpo.clip_high": {Value: json.RawMessage(`0.2`), Writers: []string{}},
		}
	}
	pa := prov("0.04", "experiments/quickstart.cue:14:6")
	pb := prov("0", "experiments/no-kl.cue:4:2")
	pb["grpo.clip_high"] = table.Origin{Value: json.RawMessage(`0.28`), Writers: []string{"experiments/no-kl.cue:5:2"}}
	dirA = writeRun(t, results, "quickstart-aaaaaaaa", manifest(1, "a", "1.30.0"), pa, a)
	dirB = writeRun(t, results, "no-kl-bbbbbbbb", manifest(1, "b", "1.31.0"), pb, b)
	return results, dirA, dirB
}
