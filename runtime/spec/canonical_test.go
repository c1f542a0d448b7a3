package spec

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestCanonicalJSON(t *testing.T) {
	e := load1(t, good, "seed=9007199254740993", "grpo.adam_eps=1e-8", "grpo.kl=0.10", "prompt.system=<b> & \u00fc").Rungs[0].Experiment
	text := string(e.JSON())
	for _, want := range []string{`"seed":9007199254740993`, `"adam_eps":1e-8`, `"kl":0.1,`, `"weight":1}`, `"learning_rate":0.00001`, `"system":"<b> & ` + "\u00fc" + `"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if !strings.HasPrefix(text, `{"checkpoint":{"every":50,"keep":2},"data":`) || strings.ContainsAny(text, "\n\t") {
		t.Errorf("keys are not sorted, or there is white space: %s", text)
	}
	var back Experiment
	if err := json.Unmarshal([]byte(text), &back); err != nil || string(back.JSON()) != text {
		t.Errorf("%v: reads back as %s", err, back.JSON())
	}
}

// Two seeds that one float64 stands for must not be one.
func TestCanonicalKeepsIntegers(t *testing.T) {
	a := load1(t, good, "seed=9007199254740993").Rungs[0].Experiment
	b := load1(t, good, "seed=9007199254740992").Rungs[0].Experiment
	if string(a.JSON()) == string(b.JSON()) || len(Diff(a, b)) != 1 {
		t.Error(Diff(a, b))
	}
}

func TestChanged(t *testing.T) {
	e := load1(t, good, "grpo.group_size=8", "grpo.kl=4e-2", "rewards.format.weight=0.1").Rungs[0].Experiment
	got := string(Changed(e, "name", "policy.from", "data.sources.*.card"))
	want := `{"data":{"sources":{"a":{"task":"yesno"}}},"eval":{"max_completion_tokens":64},` +
		`"grpo":{"learning_rate":0.00001,"max_completion_tokens":64,"steps":10},"rewards":{"format":{"weight":0.1},"matching":{}}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDiff(t *testing.T) {
	f := load1(t, ladder)
	var got []string
	for _, c := range Diff(f.Rungs[0].Experiment, f.Rungs[2].Experiment) {
		got = append(got, c.String())
	}
	want := `data.sources.b.card = "card.cue"; data.sources.b.task = "mcq"; data.sources.b.weight = 1; grpo.kl 0.04 -> 0.1; policy.freeze ["vision","merger"] -> ["vision"]`
	if strings.Join(got, "; ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), want)
	}
	if back := Diff(f.Rungs[1].Experiment, f.Rungs[0].Experiment); back[0].String() != "data.sources.b.card removed" {
		t.Error(back)
	}
}
