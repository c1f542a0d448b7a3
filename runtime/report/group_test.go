package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"mixr/runtime/table"
)

func TestDiffGroups(t *testing.T) {
	results := ladder(t, 4)
	record(t, results, 4)
	s, err := ReadStudy(results, "ladder")
	if err != nil {
		t.Fatal(err)
	}
	group := func(rung string) Group {
		g, ok := s.Group(rung)
		if !ok {
			t.Fatalf("no rung %s", rung)
		}
		return g
	}
	c, err := DiffGroups(group("base"), group("+mcq"), DiffOptions{Flips: 2})
	if err != nil {
		t.Fatal(err)
	}
	d := c.Eval[0]
	if len(c.Eval) != 1 || d.N != 40 || d.Seeds != 4 || d.Flips != nil || !d.Test.Significant() || !strings.HasPrefix(c.Verdict, "B is better: ") {
		t.Errorf("%+v %+v %s", d, d.Test, c.Verdict)
	}
	if c.Unmatched != (Unmatched{OnlyB: 30}) {
		t.Errorf("unmatched %+v", c.Unmatched)
	}
	// The seed is what the runs of a group differ in, so it is no difference of the groups.
	if len(c.Spec.Changed) != 0 || c.Spec.Equal != 1 || len(c.Flips) != 2 {
		t.Errorf("spec %+v, %d flips", c.Spec, len(c.Flips))
	}
	// The numbers are those of the twelve pairs: the same by hand.
	sum := 0.0
	for seed := 1; seed <= 4; seed++ {
		one, err := Diff(fmt.Sprintf("%s/ladder-0%d", results, seed), fmt.Sprintf("%s/ladder-1%d", results, seed), DiffOptions{})
		if err != nil {
			t.Fatal(err)
		}
		sum += one.Eval[0].Delta / 4
	}
	if math.Abs(sum-d.Delta) > 1e-12 {
		t.Errorf("mean of the seeds %g, of the group %g", sum, d.Delta)
	}

	undecided, err := DiffGroups(group("+mcq"), group("+kl"), DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(undecided.Spec.Changed) != 1 || !strings.Contains(undecided.Verdict, "find a difference of") || !strings.HasPrefix(undecided.Verdict, "undecided. ") {
		t.Errorf("%s", undecided.Verdict)
	}
	var out bytes.Buffer
	for _, one := range []*Comparison{c, undecided} {
		if err := one.Text(&out, Style{}); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "groups.txt", out.String())
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}

	// A seed without a partner is counted; without any equal seed the order pairs.
	fewer := Group{Name: "x", Runs: group("+mcq").Runs[:2]}
	if c, err = DiffGroups(group("base"), fewer, DiffOptions{}); err != nil || c.Unmatched.Seeds != 2 || c.Eval[0].Seeds != 2 {
		t.Errorf("%+v, %v", c.Unmatched, err)
	}
	late := Group{Name: "x", Runs: group("+mcq").Runs[2:]}
	if c, err = DiffGroups(fewer, late, DiffOptions{}); err != nil || c.Unmatched.Seeds != 0 || c.Eval[0].Seeds != 2 {
		t.Errorf("%+v, %v", c.Unmatched, err)
	}
	if _, err := DiffGroups(Group{Name: "ladder/+new"}, late, DiffOptions{}); err == nil || !strings.Contains(err.Error(), "ladder/+new has no runs") {
		t.Errorf("no runs: %v", err)
	}
	// Runs of two rungs are no replicates.
	mixed := Group{Name: "mixed", Runs: append(group("+mcq").Runs[:1:1], group("+kl").Runs[1])}
	if c, err = DiffGroups(mixed, late, DiffOptions{}); err != nil || !strings.Contains(strings.Join(c.Warnings, "\n"), "the runs of A differ in more than their seed: grpo.kl") {
		t.Errorf("%q, %v", c.Warnings, err)
	}
}

func TestDiffStudies(t *testing.T) {
	results := ladder(t, 3)
	s, err := ReadStudy(results, "ladder")
	if err != nil {
		t.Fatal(err)
	}
	shorter := &Study{Name: "shorter", Rungs: s.Rungs[:2]}
	c, err := DiffStudies(s, shorter, DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Rungs) != 2 || len(c.OnlyA) != 1 || len(c.OnlyB) != 0 || c.Rungs[0].Eval[0].Delta != 0 {
		t.Errorf("%+v", c)
	}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"text": func(b *bytes.Buffer) error { return c.Text(b, Style{}) }, "markdown": func(b *bytes.Buffer) error { return c.Markdown(b) },
		"html": func(b *bytes.Buffer) error { return c.HTML(b) },
	} {
		var out bytes.Buffer
		if err := write(&out); err != nil || !strings.Contains(out.String(), "no difference seen") || !strings.Contains(out.String(), "has only A") {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
}

// TestMatchSeeds: an example counts only with a partner in every seed, and where its content is the same in all.
func TestMatchSeeds(t *testing.T) {
	row := func(id, sha string, reward float64) table.Eval {
		return table.Eval{ExampleID: id, Source: "s", Task: "open", ItemSHA: sha, Reward: reward}
	}
	first := []table.Eval{row("1", "x", 0), row("2", "x", 0), row("3", "x", 0)}
	second := []table.Eval{row("2", "x", 1), row("3", "y", 1), row("4", "x", 1)}
	examples, u := matchSeeds([][]table.Eval{first, second}, [][]table.Eval{first, second})
	if len(examples) != 1 || examples[0].id != "2" || u != (Unmatched{SomeSeed: 3}) {
		t.Fatalf("%+v, %+v", examples, u)
	}
	if a, b := examples[0].means(); a != 0.5 || b != 0.5 {
		t.Errorf("means %g, %g", a, b)
	}
	if a, _ := examples[0].of(1).means(); a != 1 {
		t.Errorf("second seed: %g", a)
	}
	// A row that stands twice has one partner.
	twice, u := match([]table.Eval{row("1", "x", 0), row("1", "x", 0)}, []table.Eval{row("1", "x", 1)})
	if len(twice[0].pairs) != 1 || u.Samples != 1 {
		t.Errorf("%+v, %+v", twice, u)
	}
}

// TestHidden: what else differs is said, with whether it can matter.
func TestHidden(t *testing.T) {
	machine := func(name, mixr, host string) member {
		return member{dir: name, m: table.Manifest{
			Versions: map[string]string{"mixr": mixr, "vectors": name, "go": "go1.26.8"}, Attempts: []table.Attempt{{Host: host}, {Host: host}},
		}}
	}
	a := []member{machine("avx2", "v0.1.0", "node1"), machine("avx2", "v0.1.0", "node2")}
	b := []member{machine("avx512", "v0.1.0+dirty", "node1")}
	got := differing(gather(a, member.machine), gather(b, member.machine))
	want := []struct{ name, a, b, matters string }{
		{"host", "node1, node2", "node1", "not by itself"},
		{"mixr", "v0.1.0", "v0.1.0+dirty", "changed working tree"},
		{"vectors", "avx2", "avx512", "another order"},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, w := range want {
		if g := got[i]; g.Name != w.name || g.A != w.a || g.B != w.b || !strings.Contains(matters(g), w.matters) {
			t.Errorf("%+v: %s", g, matters(g))
		}
	}
}
