package weights

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReleased reads a file of 64 MB and finds almost none of it in the process's memory. The bound is a block for each of the
// processors of a large machine and what the test binary has mapped itself.
func TestReleased(t *testing.T) {
	path, data := filepath.Join(t.TempDir(), "x"), make([]float32, 1<<24)
	check(t, Write(path, []Tensor{{"x", []int{len(data)}, data}}, "F32", nil))
	s := open(t, path)
	before := residentFile(t)
	for range 2 {
		check(t, s.Float32("x", data))
	}
	if grown := residentFile(t) - before; grown > 16<<20 {
		t.Errorf("%d MB of mapped pages stay in memory", grown>>20)
	}
}

// residentFile is the memory of this process that files back, in bytes.
func residentFile(t *testing.T) (n int64) {
	for line := range strings.Lines(string(must(os.ReadFile("/proc/self/status")))) {
		if _, err := fmt.Sscanf(line, "RssFile: %d kB", &n); err == nil {
			return n * 1024
		}
	}
	t.Skip("/proc/self/status does not tell RssFile")
	return 0
}
