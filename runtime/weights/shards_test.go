package weights

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// seven are tensors of 12, 8, 40, 0, 4, 4 and 8 bytes in F32, in the order of their names.
func seven() []Tensor {
	tensors := []Tensor{
		{Name: "a", Shape: []int{3}}, {Name: "b", Shape: []int{2}}, {Name: "c", Shape: []int{2, 5}}, {Name: "d", Shape: []int{0}},
		{Name: "e"}, {Name: "f", Shape: []int{1}}, {Name: "g", Shape: []int{2}},
	}
	for i := range tensors {
		n := 1
		for _, d := range tensors[i].Shape {
			n *= d
		}
		for j := range n {
			tensors[i].Data = append(tensors[i].Data, float32(10*i+j))
		}
	}
	return tensors
}

func TestWriteSharded(t *testing.T) {
	for name, c := range map[string]struct {
		dtype string
		limit int64
		want  string // the tensors of each file
	}{
		"one file":           {"F32", 76, "abcdefg"},
		"one byte too many":  {"F32", 75, "abcdef g"},
		"greedy":             {"F32", 20, "ab c defg"},
		"a file each":        {"F32", 1, "a b c d e f g"},
		"half of the bytes":  {"BF16", 38, "abcdefg"},
		"half, one too many": {"BF16", 37, "abcdef g"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			in := seven()
			slices.Reverse(in)
			check(t, WriteSharded(dir, in, c.dtype, c.limit, map[string]string{"step": "3"}))
			s := open(t, dir)
			var files []string
			got := map[string]string{}
			for _, tensor := range s.Names() {
				file := s.tensors[tensor].file
				if !slices.Contains(files, file) {
					files = append(files, file)
				}
				got[file] += tensor
			}
			var list []string
			for _, file := range files {
				list = append(list, got[file])
				if _, m, _, err := parse(must(os.ReadFile(file))); err != nil || m["step"] != "3" || m["format"] != "pt" {
					t.Errorf("%s: metadata %v, %v", file, m, err)
				}
			}
			if strings.Join(list, " ") != c.want {
				t.Errorf("files hold %q, want %q", list, c.want)
			}
			for _, x := range seven() {
				if s.tensors[x.Name].dtype != c.dtype || !slices.Equal(s.Shape(x.Name), x.Shape) || !slices.Equal(read(t, s, x.Name), x.Data) {
					t.Errorf("%s: %s %v %v", x.Name, s.tensors[x.Name].dtype, s.Shape(x.Name), read(t, s, x.Name))
				}
			}
			if left := names(t, dir); len(files) == 1 && !slices.Equal(left, []string{singleFile}) || len(files) > 1 && len(left) != len(files)+1 {
				t.Errorf("the folder has %v", left)
			}
		})
	}
}

// TestIndex holds the names and the index to what the Hugging Face libraries write.
func TestIndex(t *testing.T) {
	dir := t.TempDir()
	check(t, WriteSharded(dir, seven(), "F32", 45, nil))
	if got := strings.Join(names(t, dir), " "); got != "model-00001-of-00003.safetensors model-00002-of-00003.safetensors model-00003-of-00003.safetensors model.safetensors.index.json" {
		t.Errorf("files %s", got)
	}
	var list struct {
		Metadata  map[string]float64 `json:"metadata"`
		WeightMap map[string]string  `json:"weight_map"`
	}
	check(t, json.Unmarshal(must(os.ReadFile(filepath.Join(dir, indexFile))), &list))
	if list.Metadata["total_size"] != 76 {
		t.Errorf("total_size %v, want 76", list.Metadata["total_size"])
	}
	for name, file := range map[string]string{"a": "1", "b": "1", "c": "2", "d": "2", "e": "2", "f": "3", "g": "3"} {
		if want := "model-0000" + file + "-of-00003.safetensors"; list.WeightMap[name] != want {
			t.Errorf("%s is in %s, want %s", name, list.WeightMap[name], want)
		}
	}
}

// TestWriteShardedAgain writes over every other layout: nothing old is left that a reader would take.
func TestWriteShardedAgain(t *testing.T) {
	limits := []int64{1000, 40, 20, 1}
	for _, before := range limits {
		for _, after := range limits {
			dir := t.TempDir()
			old := seven()
			for i := range old {
				old[i].Name = "old." + old[i].Name
			}
			check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o644))
			check(t, WriteSharded(dir, old, "F32", before, nil))
			check(t, WriteSharded(dir, seven(), "F32", after, nil))
			s := open(t, dir)
			if got := strings.Join(s.Names(), ""); got != "abcdefg" {
				t.Errorf("limit %d after %d: %s", after, before, got)
			}
			if n, want := len(names(t, dir)), len(s.mapped)+2; len(s.mapped) > 1 && n != want || len(s.mapped) == 1 && n != 2 {
				t.Errorf("limit %d after %d: the folder has %v", after, before, names(t, dir))
			}
		}
	}
}

// TestWriteRead: a tensor that is read when its turn comes gives the bytes of one that is there; what its reader says is an error.
func TestWriteRead(t *testing.T) {
	for _, dtype := range []string{"F32", "BF16"} {
		data, later := t.TempDir(), t.TempDir()
		check(t, WriteSharded(data, seven(), dtype, 30, nil))
		tensors := seven()
		for i, x := range tensors {
			tensors[i].Data = nil
			tensors[i].Read = func(dst []float32) error {
				if len(dst) != len(x.Data) {
					t.Errorf("%s: asked for %d elements, has %d", x.Name, len(dst), len(x.Data))
				}
				copy(dst, x.Data)
				return nil
			}
		}
		check(t, WriteSharded(later, tensors, dtype, 30, nil))
		if !slices.Equal(names(t, data), names(t, later)) {
			t.Fatalf("%v, want %v", names(t, later), names(t, data))
		}
		for _, name := range names(t, data) {
			if !slices.Equal(must(os.ReadFile(filepath.Join(data, name))), must(os.ReadFile(filepath.Join(later, name)))) {
				t.Errorf("%s differs", name)
			}
		}
		tensors[6].Read = func([]float32) error { return errors.New("the source is gone") }
		wantError(t, WriteSharded(later, tensors, dtype, 30, nil), later, "tensor g: the source is gone")
		if !slices.Equal(names(t, data), names(t, later)) || len(open(t, later).Names()) != 7 {
			t.Errorf("the old weights became %v", names(t, later))
		}
	}
}

func TestWriteShardedErrors(t *testing.T) {
	dir := t.TempDir()
	check(t, WriteSharded(dir, seven(), "F32", 40, nil))
	before := names(t, dir)
	huge := append(seven(), Tensor{Name: "z", Shape: []int{1}, Data: []float32{3.4e38}}) // of the last file: the others are written already
	twice := append(seven(), Tensor{Name: "a", Shape: []int{1}, Data: []float32{1}})
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"limit":  {WriteSharded(dir, seven(), "F32", 0, nil), "at most 0 bytes"},
		"type":   {WriteSharded(dir, seven(), "F16", 40, nil), `type "F16"`},
		"twice":  {WriteSharded(dir, twice, "F32", 1, nil), "tensor a is given twice"},
		"beyond": {WriteSharded(dir, huge, "BF16", 8, nil), "model-00005-of-00005.safetensors: tensor z: element 0 is 3.4e+38, beyond the largest BF16"},
		"folder": {WriteSharded(filepath.Join(dir, "none"), seven(), "F32", 40, nil), "no such file"},
	} {
		wantError(t, c.err, dir, c.want)
		if after := names(t, dir); !slices.Equal(before, after) {
			t.Errorf("%s: the folder has %v, had %v", name, after, before)
		}
	}
	if s := open(t, dir); len(s.Names()) != 7 || !slices.Equal(read(t, s, "g"), []float32{60, 61}) {
		t.Error("the old weights are gone")
	}
}

// names lists a folder.
func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	for _, e := range must(os.ReadDir(dir)) {
		out = append(out, e.Name())
	}
	return out
}
