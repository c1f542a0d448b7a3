// Package weights reads and writes model weights as safetensors files.
//
// In goes a safetensors file, or a folder as the Hugging Face hub lays it out (model.safetensors, or several files and
// model.safetensors.index.json); out come tensors by name as float32. Files are mapped, not read: opening a model takes
// milliseconds and a tensor's bytes are touched when it is asked for. BF16, F16 and F32 widen to float32 exactly; other
// types are listed but not converted. The writer stores BF16 or F32 and a file appears whole or not at all.
//
// It knows nothing of models: which names and shapes belong to one is decided elsewhere. It never runs code from a file
// and trusts no header: sizes are checked against the file before a byte of data is touched.
//
// Errors name the file and the tensor.
package weights

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Names of the files in a model's folder, as the Hugging Face libraries write them.
const (
	singleFile = "model.safetensors"
	indexFile  = "model.safetensors.index.json"
)

// Store is an open set of weights. It is safe for concurrent use until Close. The files must not be changed or shortened
// while it is open: the process would be killed by a bus error, as with any mapped file.
type Store struct {
	path    string
	mapped  [][]byte
	tensors map[string]tensor
}

// tensor is where a tensor lies.
type tensor struct {
	entry
	file string
	data []byte // in the mapping
}

// Open opens a safetensors file or a model's folder. In a folder, model.safetensors wins over an index, as it does in the
// Hugging Face libraries. With an index, every tensor of every file must be listed in it at its file and nothing else.
func Open(path string) (*Store, error) {
	s := &Store{path: path, tensors: map[string]tensor{}}
	err := s.open()
	if err != nil {
		return nil, fmt.Errorf("weights: %w", errors.Join(err, s.Close()))
	}
	return s, nil
}

func (s *Store) open() error {
	files, index, err := locate(s.path)
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := s.add(file); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	if index == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(index)) {
		t, ok := s.tensors[name]
		if !ok || filepath.Base(t.file) != index[name] {
			return fmt.Errorf("%s: tensor %s is listed for %s, which does not have it", indexFile, name, index[name])
		}
	}
	for _, name := range s.Names() {
		if _, ok := index[name]; !ok {
			return fmt.Errorf("%s: tensor %s is not listed in %s", s.tensors[name].file, name, indexFile)
		}
	}
	return nil
}

// locate lists the files of the weights at path, sorted, and what the index says (nil without one): tensor to file name.
func locate(path string) (files []string, index map[string]string, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !st.IsDir() {
		return []string{path}, nil, nil
	}
	single := filepath.Join(path, singleFile)
	if _, err := os.Stat(single); err == nil {
		return []string{single}, nil, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	text, err := os.ReadFile(filepath.Join(path, indexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s: neither %s nor %s is there", path, singleFile, indexFile)
	} else if err != nil {
		return nil, nil, err
	}
	var list struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", filepath.Join(path, indexFile), err)
	}
	if len(list.WeightMap) == 0 {
		return nil, nil, fmt.Errorf("%s: weight_map lists no tensor", filepath.Join(path, indexFile))
	}
	names := map[string]bool{}
	for name, file := range list.WeightMap {
		// A shard lies beside its index; a path would let a downloaded index read files anywhere.
		if file != filepath.Base(file) || file == "." || file == ".." {
			return nil, nil, fmt.Errorf("%s: tensor %s: %q is not a plain file name", filepath.Join(path, indexFile), name, file)
		}
		names[file] = true
	}
	for _, file := range slices.Sorted(maps.Keys(names)) {
		files = append(files, filepath.Join(path, file))
	}
	return files, list.WeightMap, nil
}

// add maps one file and takes its tensors.
func (s *Store) add(file string) error {
	content, err := mapFile(file)
	if err != nil {
		return err
	}
	if content != nil {
		s.mapped = append(s.mapped, content)
	}
	entries, _, data, err := parse(content)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if other, ok := s.tensors[e.name]; ok {
			return fmt.Errorf("tensor %s is also in %s", e.name, other.file)
		}
		s.tensors[e.name] = tensor{e, file, data[e.begin:e.end]}
	}
	return nil
}

// mapFile maps a file read-only; an empty file has no mapping and gives nil.
func mapFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the mapping outlives it
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if st.Size() == 0 {
		return nil, nil
	}
	content, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", st.Size(), err)
	}
	return content, nil
}

// Names lists the tensors in alphabetical order.
func (s *Store) Names() []string { return slices.Sorted(maps.Keys(s.tensors)) }

// Has reports whether a tensor is there.
func (s *Store) Has(name string) bool {
	_, ok := s.tensors[name]
	return ok
}

// Shape is a tensor's dimensions, outermost first; a scalar has none. It is nil if there is no such tensor.
func (s *Store) Shape(name string) []int {
	t, ok := s.tensors[name]
	if !ok {
		return nil
	}
	return append([]int{}, t.shape...)
}

// DType is a tensor's type as stored, such as "BF16"; "" if there is no such tensor.
func (s *Store) DType(name string) string { return s.tensors[name].dtype }

// Float32 converts a tensor into dst, whose length must be the tensor's number of elements. Types other than F32, BF16 and
// F16 are an error. Values are not checked; see CheckFinite.
func (s *Store) Float32(name string, dst []float32) error {
	t, ok := s.tensors[name]
	if !ok {
		return fmt.Errorf("weights: %s: there is no tensor %s", s.path, name)
	}
	if n := t.count(); len(dst) != n {
		return fmt.Errorf("weights: %s: tensor %s: %v has %d elements, the destination %d", t.file, name, t.shape, n, len(dst))
	}
	switch t.dtype {
	case "F32":
		fromF32(dst, t.data)
	case "BF16":
		fromBF16(dst, t.data)
	case "F16":
		fromF16(dst, t.data)
	default:
		return fmt.Errorf("weights: %s: tensor %s is %s, want F32, BF16 or F16", t.file, name, t.dtype)
	}
	return nil
}

// Close unmaps the files. A second Close does nothing.
func (s *Store) Close() error {
	var err error
	for _, m := range s.mapped {
		err = errors.Join(err, unix.Munmap(m))
	}
	s.mapped, s.tensors = nil, nil
	return err
}
