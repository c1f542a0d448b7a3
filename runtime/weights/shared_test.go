package weights

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRealModels reads every value of models that other programs wrote.
func TestRealModels(t *testing.T) {
	for _, name := range []string{"minimind2-small", "all-MiniLM-L6-v2"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("..", "..", "..", "shared", "models", name)
			if _, err := os.Stat(dir); err != nil {
				t.Skipf("no model: %v", err)
			}
			s := open(t, dir)
			s.Finite = true
			values := 0
			for _, tensor := range s.Names() {
				if s.tensors[tensor].dtype == "I64" {
					continue
				}
				values += len(read(t, s, tensor))
			}
			if values < 1_000_000 {
				t.Errorf("%d tensors with %d values", len(s.Names()), values)
			}
		})
	}
}

// BenchmarkOpen opens and closes a model of 50 MB: the header is read, the data is not.
func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join("..", "..", "..", "shared", "models", "minimind2-small")
	if _, err := os.Stat(dir); err != nil {
		b.Skipf("no model: %v", err)
	}
	for b.Loop() {
		s, err := Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// BenchmarkFloat32 is the speed of conversion; the bytes are those of the file.
func BenchmarkFloat32(b *testing.B) {
	const n = 1 << 22
	for _, dtype := range []string{"F32", "BF16"} {
		b.Run(dtype, func(b *testing.B) {
			path, data := filepath.Join(b.TempDir(), "x"), make([]float32, n)
			if err := Write(path, []Tensor{{Name: "x", Shape: []int{n}, Data: data}}, dtype, nil); err != nil {
				b.Fatal(err)
			}
			s, err := Open(path)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.SetBytes(int64(width[dtype]) * n)
			for b.Loop() {
				if err := s.Float32("x", data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
