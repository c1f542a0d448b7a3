package weights

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReleased reads files of 64 MB, of one tensor and of many in another order than theirs, and finds almost none of them in the
// process's memory afterwards. The bound is what the two files' headers and the binary's own pages may take.
func TestReleased(t *testing.T) {
	dir, data := t.TempDir(), make([]float32, 1<<24)
	var parts []Tensor
	for i := range 61 {
		parts = append(parts, Tensor{Name: fmt.Sprint("x", i), Shape: []int{275_001}, Data: data[i*275_001 : (i+1)*275_001]})
	}
	for name, tensors := range map[string][]Tensor{"one": {{Name: "x", Shape: []int{len(data)}, Data: data}}, "many": parts} {
		path := filepath.Join(dir, name)
		check(t, Write(path, tensors, "F32", nil))
		s := open(t, path)
		before := residentFile(t)
		for range 2 {
			for _, x := range tensors { // x0, x1, x2: the file has x0, x1, x10
				check(t, s.Float32(x.Name, x.Data))
			}
		}
		if grown := residentFile(t) - before; grown > 8<<20 {
			t.Errorf("%s: %d MB of mapped pages stay in memory", name, grown>>20)
		}
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
