package family

import (
	"path/filepath"
	"regexp"
	"testing"
)

// Weight decay leaves out what is of rank 1. In every family that is exactly what is no matrix, embedding or kernel by its name: gains
// and biases of norms, biases, layer scales.
func TestRankTellsWhatDecays(t *testing.T) {
	one := regexp.MustCompile(`(\.bias|norm\d?\.weight|layernorm_(before|after)\.weight|ln_q\.weight|lambda_[12])$`)
	dirs, err := filepath.Glob("testdata/parity/*")
	if err != nil || len(dirs) < 10 {
		t.Fatalf("%d checkpoints, %v", len(dirs), err)
	}
	kinds := map[bool]int{}
	for _, dir := range dirs {
		m, err := LoadModel(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range m.Specs() {
			kinds[len(s.Shape) == 1]++
			if named := one.MatchString(s.Name); named != (len(s.Shape) == 1) {
				t.Errorf("%s: %s %v: by its name it is decayed: %t", filepath.Base(dir), s.Name, s.Shape, !named)
			}
		}
	}
	if kinds[true] < 100 || kinds[false] < 100 {
		t.Errorf("%v parameters by rank 1: the test tests nothing", kinds)
	}
}
