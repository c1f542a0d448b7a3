// Command peers is mixr's side of bench/peers.py where the command itself does not say enough.
//
//	go run ./bench/peers run ...             mixr run ..., with a CPU profile in the file that PEERS_PROFILE names
//	go run ./bench/peers product SIZE        GFLOP/s of a square float32 product in ONNX Runtime, on 1 and on 2 threads
//	go run ./bench/peers flops FILE P:C,C... ...  GFLOP in the products of the gradient of groups: tokens of the prompt and of each completion
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"mixr/runtime/cli"
	"mixr/runtime/compile"
	"mixr/runtime/graph"
	"mixr/runtime/ort"
	"mixr/runtime/ort/fetch"
	"mixr/runtime/spec"
	"mixr/runtime/train"
)

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) > 1 && args[0] == "run":
		err = profiled(args)
	case len(args) == 2 && args[0] == "product":
		err = product(args[1])
	case len(args) > 2 && args[0] == "flops":
		err = flops(args[1], args[2:])
	default:
		err = errors.New("usage: peers run ARGS | product SIZE | flops FILE PROMPT:COMPLETIONS")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// profiled is the mixr command under the profiler of Go, which sees the time inside ONNX Runtime as calls of mixr_run.
func profiled(args []string) error {
	f, err := os.Create(os.Getenv("PEERS_PROFILE"))
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	code := cli.Main(ctx, os.Stdout, os.Stderr, args)
	pprof.StopCPUProfile()
	if code != 0 {
		return fmt.Errorf("mixr %s ended with %d", args[0], code)
	}
	return f.Close()
}

// product measures C = A B of N x N matrices: in one session of one thread, in two such sessions at once, as mixr's workers compute, and
// in one session of two threads. It prints the best of some runs of each.
func product(size string) error {
	n, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	lib, err := fetch.Find(context.Background(), fetch.Options{
		Lib: os.Getenv("MIXR_ORT_LIB"), CacheDir: os.Getenv("MIXR_CACHE_DIR"), Log: func(line string) { fmt.Fprintln(os.Stderr, line) },
	})
	if err != nil {
		return err
	}
	engine, err := ort.Open(lib)
	if err != nil {
		return err
	}
	g, err := graph.Build("product", func(g *graph.Graph) {
		a, b := g.Input("a", graph.F32, "N", "N"), g.Input("b", graph.F32, "N", "N")
		g.Output("c", graph.MatMul(a, b, false, false, 1))
	})
	if err != nil {
		return err
	}
	out := map[string]any{"version": engine.Version()}
	for _, c := range []struct {
		name            string
		threads, copies int
	}{{"one", 1, 1}, {"workers", 1, 2}, {"threads", 2, 1}} {
		if out[c.name], err = fastest(engine, g, n, c.threads, c.copies); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// fastest makes some rounds, in each of which every copy makes a product. It returns the highest GFLOP per second of the clock and
// the highest per second of CPU time.
func fastest(engine *ort.Engine, g *graph.Graph, n, threads, copies int) (best [2]float64, err error) {
	session, err := engine.NewSession(g, ort.SessionOptions{Threads: threads, Level: 1})
	if err != nil {
		return best, err
	}
	defer session.Close()
	var bindings []*ort.Binding
	for range copies {
		b, err := session.NewBinding()
		if err != nil {
			return best, err
		}
		defer b.Close()
		for _, name := range []string{"a", "b", "c"} {
			t, err := engine.NewTensor(graph.F32, n, n)
			if err != nil {
				return best, err
			}
			defer t.Free()
			for i := range t.Float32() {
				t.Float32()[i] = float32(i%7) - 3
			}
			if name == "c" {
				err = b.Output(name, t)
			} else {
				err = b.Input(name, t)
			}
			if err != nil {
				return best, err
			}
		}
		bindings = append(bindings, b)
	}
	for range 8 {
		errs := make([]error, copies)
		start, used := time.Now(), cpuSeconds()
		var wait sync.WaitGroup
		for i, b := range bindings {
			wait.Go(func() { errs[i] = b.Run() })
		}
		wait.Wait()
		if err := errors.Join(errs...); err != nil {
			return best, err
		}
		work := 2 * float64(n) * float64(n) * float64(n) * float64(copies) / 1e9
		best[0] = max(best[0], work/time.Since(start).Seconds())
		best[1] = max(best[1], work/(cpuSeconds()-used))
	}
	return best, nil
}

// cpuSeconds is what this process has used so far.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

// flops adds up the products of the gradient graph that a trial of the experiment compiles, over the given groups.
func flops(file string, groups []string) error {
	f, diagnostics := spec.Load(file, nil)
	if len(diagnostics) > 0 {
		return diagnostics.Err()
	}
	resolved := f.Rungs[0].Resolved
	in, err := train.Open(resolved)
	if err != nil {
		return err
	}
	p, err := compile.Compile(resolved.Experiment, in.Policy.Model)
	if err != nil {
		return err
	}
	total := int64(0)
	for _, group := range groups {
		prompt, completions, _ := strings.Cut(group, ":")
		stem, err := strconv.Atoi(prompt)
		if err != nil {
			return fmt.Errorf("group %q: %w", group, err)
		}
		sizes := map[string]int{"N": 1, "M": 1, "P": stem, "T": stem}
		longest := 0
		for text := range strings.SplitSeq(completions, ",") {
			n, err := strconv.Atoi(text)
			if err != nil {
				return fmt.Errorf("group %q: %w", group, err)
			}
			sizes["C"], sizes["T"], sizes["R"], longest = sizes["C"]+n, sizes["T"]+n-1, sizes["R"]+1, max(longest, n-1)
		}
		sizes["L"] = sizes["T"]
		sizes["Q"], sizes["W"] = compile.Window(stem, longest, sizes["R"])
		n, err := p.Gradient.Flops(sizes)
		if err != nil {
			return err
		}
		total += n
	}
	fmt.Println(float64(total) / 1e9)
	return nil
}
