package table

import (
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"
)

func TestHang(t *testing.T) {
	x, text, right := 0.5, "text", true
	eval := whole(t, Eval{When: "after", ExampleID: "a", Source: "s", Task: "mcq", Question: &text, Correct: &right, Format: &x}, Eval{ExampleID: "b"})
	rng := rand.New(rand.NewPCG(1, 1))
	slow := 0
	for i := range 30000 {
		f := append([]byte{}, eval...)
		for range 1 + rng.IntN(3) {
			f[rng.IntN(len(f))] = byte(rng.Uint32())
		}
		done := make(chan string, 1)
		start := time.Now()
		go func() {
			_, err := decode[Eval](f)
			if err != nil { done <- err.Error() } else { done <- "ok" }
		}()
		select {
		case s := <-done:
			if d := time.Since(start); d > 300*time.Millisecond { t.Logf("%d: %v %s", i, d, s) }
		case <-time.After(3 * time.Second):
			os.WriteFile("/tmp/h11/hang.bin", f, 0o644)
			buf := make([]byte, 1<<16)
			n := runtime.Stack(buf, true)
			t.Logf("hang at %d\n%s", i, buf[:n])
			slow++
			if slow > 0 { return }
		}
	}
}
