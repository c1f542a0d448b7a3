package compile

import (
	"slices"
	"testing"

	"mixr/runtime/spec"
)

func estimated(t *testing.T, e *spec.Experiment, edit func(*Sizes)) Memory {
	t.Helper()
	s := Sizes{Prompt: 50, Completion: 40, Group: 4, Units: 4, Workers: 1, InFlight: 2}
	if e.Stage == "sft" {
		s.Examples, s.Tokens, s.Targets, s.Longest, s.Windows = 4, 4*(50+39), 4*40, 50+39, 4
	}
	if edit != nil {
		edit(&s)
	}
	m, err := compiled(t, e, tiny()).Memory(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m Memory) named(name string) int64 {
	i := slices.IndexFunc(m, func(p Part) bool { return p.Name == name })
	if i < 0 {
		return 0
	}
	return m[i].Bytes
}

// What is known exactly is exact. How near the rest comes to what a process takes, package train measures.
func TestMemoryParts(t *testing.T) {
	p := compiled(t, grpoWith(freeze("vision", "merger"), kl(0.1)), tiny())
	trained, all := size(p.Trainable()), size(p.Params)
	m := estimated(t, grpoWith(freeze("vision", "merger"), kl(0.1)), nil)
	for name, want := range map[string]int64{"weights": all, "reference": trained, "moments": 2 * trained, "gradient": trained} {
		if got := m.named(name); got != want {
			t.Errorf("%s: %d bytes, want %d", name, got, want)
		}
	}
	// The embedding that a reward reads is kept only where it trains and no reference keeps it.
	bmas := func(s *Sizes) { s.KeepsEmbedding = true }
	if got := estimated(t, grpoWith(), bmas).named("embedding"); got != size([]Param{p.embedding()}) {
		t.Errorf("the embedding as it was: %d bytes", got)
	}
	moving := grpoWith(kl(0.1), func(e *spec.Experiment) { e.GRPO.ReferenceSync = 2 })
	if got := estimated(t, moving, bmas).named("embedding"); got != size([]Param{p.embedding()}) {
		t.Errorf("the embedding as it was, beside a reference that moves: %d bytes", got)
	}
	for _, e := range []*spec.Experiment{grpoWith(kl(0.1)), grpoWith(freeze("embedding")), grpoWith(lora(0))} {
		if got := estimated(t, e, bmas).named("embedding"); got != 0 {
			t.Errorf("%d bytes for an embedding that is there already", got)
		}
	}
	sum := int64(0)
	for _, part := range m {
		sum += part.Bytes
		if part.Bytes <= 0 || part.What == "" {
			t.Errorf("part %+v", part)
		}
	}
	if m.Total() != sum {
		t.Errorf("total %d, want %d", m.Total(), sum)
	}
	if m := estimated(t, grpoWith(freeze("vision", "merger")), nil); m.named("reference") != 0 {
		t.Error("a reference is held that no KL term reads")
	}
}

// What should take less takes less: for adapters, layer by layer, for shorter rows, fewer workers.
func TestMemoryIsOrdered(t *testing.T) {
	for _, stage := range []func(...func(*spec.Experiment)) *spec.Experiment{grpoWith, sft} {
		full := estimated(t, stage(), nil)
		adapted := estimated(t, stage(lora(0)), nil)
		if adapted.named("moments") >= full.named("moments") {
			t.Error("the moments of adapters are no smaller")
		}
		if layered := estimated(t, stage(recompute), nil); layered.named("gradient pass") >= full.named("gradient pass") {
			t.Errorf("layer by layer takes %d bytes, the whole graph %d", layered.named("gradient pass"), full.named("gradient pass"))
		}
		for what, edit := range map[string]func(*Sizes){
			"a longer prompt": func(s *Sizes) { s.Prompt *= 2 },
			"two workers":     func(s *Sizes) { s.Workers = 2 },
			"more in flight":  func(s *Sizes) { s.InFlight = 4 },
		} {
			if more := estimated(t, stage(), edit); more.Total() <= full.Total() {
				t.Errorf("%s takes %d bytes, want more than %d", what, more.Total(), full.Total())
			}
		}
	}
}
