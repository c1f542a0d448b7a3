package spec

import (
	"fmt"
	"maps"
	"slices"
)

// sampled is a block that draws completions.
type sampled struct {
	block       string
	temperature float64
	longest     int
	*Sampling
}

// sampled lists the blocks that draw completions, as far as they are sound.
func (f *facts) sampled() (out []sampled) {
	if g := f.GRPO; g != nil && f.sound("grpo") {
		out = append(out, sampled{"grpo", g.Temperature, g.MaxCompletionTokens, &g.Sampling})
	}
	if f.sound("eval") {
		out = append(out, sampled{"eval", f.Eval.Temperature, f.Eval.MaxCompletionTokens, &f.Eval.Sampling})
	}
	return out
}

// follows reports whether the path holds what it took over from another one, which is judged there.
func (f *facts) follows(path string) bool {
	n := f.written.find(path)
	return n != nil && n == f.written.find(follow[path])
}

// filtersDraw reports filters that leave one token to draw from, and filters where nothing is drawn.
func filtersDraw(f *facts) {
	for _, s := range f.sampled() {
		if !f.sound(s.block+".temperature", s.block+".top_k", s.block+".min_p") {
			continue
		}
		if s.temperature == 0 {
			f.idle(s.block+".temperature is 0, which takes the likeliest token", "", s.block+".top_k", s.block+".top_p", s.block+".min_p")
			continue
		}
		alone := ""
		switch {
		case s.TopK == 1:
			alone = ".top_k"
		case s.MinP == 1:
			alone = ".min_p"
		}
		switch path := s.block + alone; {
		case alone == "":
		case s.block == "grpo":
			f.c.report(f.at(path), path, "", "got 1, which leaves one token to draw from: a greedy group has equal completions and no advantage")
		default:
			f.c.report(f.at(path), path, "write eval: temperature: 0", "got 1, which leaves one token to draw from")
		}
	}
}

// stopsAreTexts reports texts that would end every completion, or stand twice.
func stopsAreTexts(f *facts) {
	for _, s := range f.sampled() {
		path, seen := s.block+".stop", map[string]bool{}
		if !f.sound(path) || f.follows(path) {
			continue
		}
		for i, text := range s.Stop {
			switch at := fmt.Sprintf("%s[%d]", path, i); {
			case text == "":
				f.c.report(f.at(path), at, "", "is empty, and would end every completion at once")
			case seen[text]:
				f.c.report(f.at(path), at, "", "repeats %q", text)
			}
			seen[text] = true
		}
	}
}

// lengthsOfTasksAreShorter reports a length that is none of its task's, or for a task that no source has.
func lengthsOfTasksAreShorter(f *facts) {
	tasks := f.tasks()
	for _, s := range f.sampled() {
		block := s.block + ".task_tokens"
		if !f.sound(block, s.block+".max_completion_tokens") || f.follows(block) {
			continue
		}
		for _, task := range slices.Sorted(maps.Keys(s.TaskTokens)) {
			path := block + "." + task
			if !f.sound(path) {
				continue
			}
			if n := s.TaskTokens[task]; n > s.longest {
				f.c.report(f.at(path), path, "", "got %d tokens, want at most the %d of %s.max_completion_tokens", n, s.longest, s.block)
			}
			if _, used := tasks[task]; !used && f.sound("data", "data.sources") && f.sourcesSound() {
				f.c.report(f.at(path), path, "", "is not used: no source of the mix has the task %s", task)
			}
		}
	}
}
