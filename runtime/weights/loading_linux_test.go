package weights

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkLoading opens and reads the folder that MIXR_LOADING names, once in each of several ways; if nothing is there, it makes
// one of 7.5 GB with the names and shapes of Qwen2.5-VL-3B. Peaks of memory are the process's, so that bench/loading gives each way a
// process of its own.
func BenchmarkLoading(b *testing.B) {
	dir := os.Getenv("MIXR_LOADING")
	if dir == "" {
		b.Skip("MIXR_LOADING names no folder: see bench/loading")
	}
	b.Run("write", func(b *testing.B) {
		if _, err := os.Stat(dir); err == nil {
			b.Skipf("%s is there", dir)
		}
		check(b, os.MkdirAll(dir, 0o755))
		tensors := qwen3B()
		for b.Loop() {
			check(b, WriteSharded(dir, tensors, "BF16", 5_000_000_000, nil))
		}
		report(b, fileBytes(b, dir), 0)
	})
	b.Run("open", func(b *testing.B) {
		forget(b, dir)
		for b.Loop() {
			check(b, must(Open(dir)).Close())
		}
		report(b, 0, 0)
	})
	for _, cache := range []string{"cold", "warm"} {
		// One buffer for all tensors shows what reading takes; a buffer for each is what a program does that keeps them.
		b.Run("pass/"+cache, func(b *testing.B) {
			s := open(b, dir)
			s.Finite = true
			largest := 0
			for _, t := range s.tensors {
				largest = max(largest, t.count())
			}
			buffer := make([]float32, largest)
			clear(buffer) // its memory is there
			into := func(_ string, n int) []float32 { return buffer[:n] }
			if cache == "warm" {
				readAll(b, s, into)
			} else {
				forget(b, dir)
			}
			for b.Loop() {
				readAll(b, s, into)
			}
			report(b, fileBytes(b, dir), 4*int64(largest))
		})
		b.Run("ready/"+cache, func(b *testing.B) {
			if cache == "cold" {
				forget(b, dir)
			}
			kept, total := map[string][]float32{}, int64(0)
			for b.Loop() {
				s := open(b, dir)
				s.Finite = true
				readAll(b, s, func(name string, n int) []float32 {
					kept[name] = make([]float32, n)
					total += 4 * int64(n)
					return kept[name]
				})
			}
			report(b, fileBytes(b, dir), total)
		})
	}
	// What of "ready" is the system's: the memory alone, as it hands it out.
	b.Run("memory", func(b *testing.B) {
		s, total := open(b, dir), int64(0)
		var kept [][]float32
		for b.Loop() {
			for _, t := range s.tensors {
				dst := make([]float32, t.count())
				_, err := parallel(len(dst), blockBytes/4, func(from, to int) (int, error) {
					clear(dst[from:to])
					return -1, nil
				})
				check(b, err)
				kept, total = append(kept, dst), total+4*int64(len(dst))
			}
		}
		runtime.KeepAlive(kept)
		report(b, fileBytes(b, dir), total)
	})
	b.Run("hash/read", func(b *testing.B) {
		for b.Loop() {
			must((*SumCache)(nil).Hash(dir))
		}
		report(b, fileBytes(b, dir), 0)
	})
	b.Run("hash/known", func(b *testing.B) {
		sums := NewSumCache(filepath.Join(b.TempDir(), "sums"))
		must(sums.Hash(dir))
		for b.Loop() {
			must(sums.Hash(dir))
		}
		report(b, 0, 0)
	})
}

func readAll(b *testing.B, s *Store, into func(name string, n int) []float32) {
	for _, name := range s.Names() {
		t := s.tensors[name]
		check(b, s.Float32(name, into(name, t.count())))
	}
}

// report adds the speed in bytes of the files (twice as many become float32), and how far the process's peak of memory exceeds the
// weights in it.
func report(b *testing.B, bytes, weights int64) {
	if bytes > 0 {
		b.ReportMetric(float64(bytes)/1e9/(b.Elapsed().Seconds()/float64(b.N)), "GB/s")
	}
	if weights > 0 {
		peak := peakMemory(b)
		b.ReportMetric(float64(weights)/1e9, "GB-weights")
		b.ReportMetric(float64(peak)/1e9, "GB-peak")
		b.ReportMetric(100*(float64(peak)/float64(weights)-1), "%-over")
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/op")
	b.ReportMetric(0, "ns/op") // not shown
}

func peakMemory(b *testing.B) (bytes int64) {
	for line := range strings.Lines(string(must(os.ReadFile("/proc/self/status")))) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &bytes); err == nil {
			return bytes * 1024
		}
	}
	b.Fatal("/proc/self/status does not tell VmHWM")
	return 0
}

func fileBytes(b *testing.B, dir string) (n int64) {
	files, _, err := locate(dir)
	check(b, err)
	for _, file := range files {
		n += must(os.Stat(file)).Size()
	}
	return n
}

// forget drops the folder's files from the system's cache; that of the machine below, or of the disk, is beyond reach.
func forget(b *testing.B, dir string) {
	files, _, err := locate(dir)
	check(b, err)
	for _, file := range files {
		f := must(os.Open(file))
		check(b, f.Sync()) // dirty pages cannot be dropped
		check(b, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
		check(b, f.Close())
	}
	time.Sleep(100 * time.Millisecond)
}

// qwen3B are tensors as in Qwen/Qwen2.5-VL-3B-Instruct, 3.75e9 random numbers. They share memory: where one ends, another may begin.
func qwen3B() []Tensor {
	r := rand.New(rand.NewPCG(1, 0))
	pool := make([]float32, 151936*2048)
	for i := range pool {
		pool[i] = 0.02 * (2*r.Float32() - 1)
	}
	var tensors []Tensor
	add := func(name string, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		at := r.IntN(len(pool) - n + 1)
		tensors = append(tensors, Tensor{Name: name, Shape: shape, Data: pool[at : at+n]})
	}
	linear := func(name string, out, in int) { // with bias
		add(name+".weight", out, in)
		add(name+".bias", out)
	}
	add("visual.patch_embed.proj.weight", 1280, 3, 2, 14, 14)
	for i := range 32 {
		block := fmt.Sprintf("visual.blocks.%d.", i)
		add(block+"norm1.weight", 1280)
		add(block+"norm2.weight", 1280)
		linear(block+"attn.qkv", 3*1280, 1280)
		linear(block+"attn.proj", 1280, 1280)
		linear(block+"mlp.gate_proj", 3420, 1280)
		linear(block+"mlp.up_proj", 3420, 1280)
		linear(block+"mlp.down_proj", 1280, 3420)
	}
	add("visual.merger.ln_q.weight", 1280)
	linear("visual.merger.mlp.0", 4*1280, 4*1280)
	linear("visual.merger.mlp.2", 2048, 4*1280)
	add("model.embed_tokens.weight", 151936, 2048)
	for i := range 36 {
		layer := fmt.Sprintf("model.layers.%d.", i)
		add(layer+"input_layernorm.weight", 2048)
		add(layer+"post_attention_layernorm.weight", 2048)
		linear(layer+"self_attn.q_proj", 2048, 2048)
		linear(layer+"self_attn.k_proj", 256, 2048)
		linear(layer+"self_attn.v_proj", 256, 2048)
		add(layer+"self_attn.o_proj.weight", 2048, 2048)
		add(layer+"mlp.gate_proj.weight", 11008, 2048)
		add(layer+"mlp.up_proj.weight", 11008, 2048)
		add(layer+"mlp.down_proj.weight", 2048, 11008)
	}
	add("model.norm.weight", 2048)
	return tensors
}
