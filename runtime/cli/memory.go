package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"mixr/runtime/compile"
	"mixr/runtime/spec"
	"mixr/runtime/train"
)

// way is a way to train a policy.
type way struct {
	name            string
	lora, recompute bool
}

var ways = []way{{"full", false, false}, {"full, recompute", false, true}, {"lora", true, false}, {"lora, recompute", true, true}}

// estimate is what an experiment takes in one way.
type estimate struct {
	way
	written     bool           // the file asks for it
	here, alone compile.Memory // with this machine's workers and gradients in flight; and with one of each, as on a GPU
}

// estimates says what an experiment takes as it is written, and with others in the other ways too; in stage eval there are none.
func (a *app) estimates(in *train.Inputs, others bool) ([]estimate, error) {
	sizes, err := in.Sizes(a.machine.Workers, cmp.Or(a.machine.InFlight, a.machine.Workers+1)) // as train.Options has it
	if err != nil {
		return nil, err
	}
	one := sizes
	one.Workers, one.InFlight = 1, 1
	var out []estimate
	for _, w := range ways {
		e := *in.Experiment
		written := (e.Policy.LoRA != nil) == w.lora && e.Policy.Recompute == w.recompute
		if (e.Stage == "eval" || !others) && !written {
			continue
		}
		if w.lora && e.Policy.LoRA == nil {
			if e.Policy.LoRA, err = defaultLoRA(); err != nil {
				return nil, err
			}
		} else if !w.lora {
			e.Policy.LoRA = nil
		}
		e.Policy.Recompute = w.recompute
		program, err := compile.Compile(&e, in.Policy.Model)
		if err != nil {
			return nil, err
		}
		est := estimate{way: w, written: written}
		if est.here, err = program.Memory(sizes); err != nil {
			return nil, err
		}
		if est.alone, err = program.Memory(one); err != nil {
			return nil, err
		}
		out = append(out, est)
	}
	return out, nil
}

// defaultLoRA is policy.lora: {} as the schema fills it.
func defaultLoRA() (*spec.LoRA, error) {
	var fields []string
	for _, name := range []string{"rank", "alpha", "targets", "dropout"} {
		fields = append(fields, fmt.Sprintf("%q: %s", name, spec.Default("policy.lora."+name)))
	}
	l := &spec.LoRA{}
	return l, json.Unmarshal([]byte("{"+strings.Join(fields, ", ")+"}"), l)
}

// written is the estimate of what the file asks for.
func written(all []estimate) estimate {
	for _, e := range all {
		if e.written {
			return e
		}
	}
	return estimate{}
}

// printMemory prints what a trial's memory is for, and what other ways to train would take.
func (a *app) printMemory(out io.Writer, name string, all []estimate) error {
	is := written(all)
	total, available := memoryHere()
	fmt.Fprintf(out, "\nmemory of %s, at most: %s", name, size(is.here.Total()))
	if total > 0 {
		fmt.Fprintf(out, " (this machine has %s, %s of it available)", size(total), size(available))
	}
	fmt.Fprintln(out)
	var rows [][]string
	for _, p := range is.here {
		rows = append(rows, []string{"  " + p.Name, size(p.Bytes), p.What})
	}
	if err := columns(out, rows); err != nil || len(all) < 2 {
		return err
	}
	rows = [][]string{{"TRAINED", fmt.Sprintf("CPU, %s", counted(a.machine.Workers, "worker")), "GPU, its context left out"}}
	for _, e := range all {
		mark := ""
		if e.written {
			mark = " (as written)"
		}
		rows = append(rows, []string{e.name + mark, size(e.here.Total()), size(onDevice(e.alone))})
	}
	fmt.Fprintln(out)
	return columns(out, rows)
}

// onDevice is what of an estimate lies on a GPU: everything but the library and its sessions.
func onDevice(m compile.Memory) int64 {
	sum := int64(0)
	for _, p := range m {
		if p.Name != compile.ProgramPart {
			sum += p.Bytes
		}
	}
	return sum
}

// memoryHere is the machine's memory and what of it is available; 0 where the system does not say.
func memoryHere() (total, available int64) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0
	}
	return meminfo(string(text), "MemTotal:"), meminfo(string(text), "MemAvailable:")
}

// fits refuses a trial that the machine has no memory for, and says what it has memory for. Where the system does not say how much
// it has, every trial passes. The other ways are only looked at where the answer is no.
func (a *app) fits(name string, in *train.Inputs) error {
	total, _ := memoryHere()
	if total == 0 {
		return nil
	}
	all, err := a.estimates(in, false)
	if err != nil || written(all).here.Total() <= total {
		return err
	}
	if all, err = a.estimates(in, true); err != nil {
		return err
	}
	return tooLarge(name, all, total)
}

// tooLarge is the error of a trial that takes more than total as it is written; it says what would fit.
func tooLarge(name string, all []estimate, total int64) error {
	is := written(all)
	text := fmt.Sprintf("%s takes about %s, and this machine has %s", name, size(is.here.Total()), size(total))
	var fit []string
	least := is
	for _, e := range all {
		if e.alone.Total() < least.alone.Total() {
			least = e
		}
		if e.here.Total() <= total {
			fit = append(fit, fmt.Sprintf("%s (%s)", e.setting(), size(e.here.Total())))
		}
	}
	const alone = "--workers 1 --in-flight 1"
	if is.alone.Total() <= total {
		fit = append(fit, fmt.Sprintf("%s (%s)", alone, size(is.alone.Total())))
	}
	switch {
	case fit == nil && len(all) == 1: // an evaluation, which trains in no way
		return fmt.Errorf("%s; with %s it takes %s", text, alone, size(is.alone.Total()))
	case fit == nil && least.alone.Total() <= total:
		return fmt.Errorf("%s; what fits: %s with %s (%s)", text, least.setting(), alone, size(least.alone.Total()))
	case fit == nil:
		return fmt.Errorf("%s: nothing that mixr knows makes it fit; the least is %s, by %s with %s",
			text, size(least.alone.Total()), least.setting(), alone)
	}
	return fmt.Errorf("%s; what fits: %s", text, strings.Join(fit, ", or "))
}

// setting is how an experiment asks for a way.
func (w way) setting() string {
	lora := map[bool]string{true: "policy: lora: {}", false: "no policy.lora"}[w.lora]
	return fmt.Sprintf("%s, policy: recompute: %t", lora, w.recompute)
}
