// Package weights reads and writes model weights as safetensors files.
//
// In goes a safetensors file, or a folder as the Hugging Face hub lays it out (model.safetensors, or several files and
// model.safetensors.index.json); out come tensors by name as float32. Files are mapped, not read: opening a model takes
// milliseconds, a tensor's bytes are touched when it is asked for, and given back once they are converted, so that reading a
// model takes hardly more memory than it fills. BF16, F16 and F32 widen to float32 exactly; other types are listed but not
// converted. The writer stores BF16 or F32, in one file or several, and a file appears whole or not at all.
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

// Store is an open set of weights. It is safe for concurrent use until Close. The files must not be changed while it is open: what
// they are changed to would be read. If one is shortened, reading what is gone is an error.
type Store struct {
	// Finite makes reading a NaN or an infinity an error that names the tensor and the element. Set it before reading.
	Finite bool

	path    string
	mapped  []mapping
	tensors map[string]tensor
}

// tensor is where a tensor lies.
type tensor struct {
	entry
	file    string
	content mapping // of the file
	offset  int     // of the tensor's bytes in content
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
	if err := missing(files, index); err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
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

// missing names all files of an index that are not there, in one error.
func missing(files []string, index map[string]string) error {
	var errs []error
	for _, file := range files {
		if _, err := os.Stat(file); index == nil || !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var tensors []string
		for name, shard := range index {
			if shard == filepath.Base(file) {
				tensors = append(tensors, name)
			}
		}
		errs = append(errs, fmt.Errorf("%s lists %d tensors (%s and so on) in %s, which is missing: the download or copy is incomplete",
			indexFile, len(tensors), slices.Min(tensors), filepath.Base(file)))
	}
	return errors.Join(errs...)
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
	if _, err := os.Lstat(single); err == nil { // a link that leads nowhere fails by its name when it is opened
		return []string{single}, nil, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	text, err := os.ReadFile(filepath.Join(path, indexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s: neither %s nor %s is there%s", path, singleFile, indexFile, instead(path))
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

// instead says which other weights a folder without safetensors has, and what to do then.
func instead(dir string) string {
	for _, c := range []struct{ pattern, hint string }{
		{"*.safetensors", "if it holds the weights, name the file itself"},
		{"*.bin", pickled}, {"*.pth", pickled}, {"*.pt", pickled}, {"*.ckpt", pickled},
		{"*.gguf", "mixr needs safetensors: take the checkpoint that it was converted from"},
	} {
		found, err := fs.Glob(os.DirFS(dir), c.pattern)
		if err == nil && len(found) > 0 {
			return fmt.Sprintf(", only %s: %s", found[0], c.hint)
		}
	}
	return ""
}

const pickled = "mixr needs safetensors, as a pickled file can run any code: take a revision that has them, or load it with " +
	"transformers and save it by save_pretrained"

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
		s.tensors[e.name] = tensor{e, file, content, len(content) - len(data) + int(e.begin)}
	}
	return nil
}

// mapFile maps a file read-only; an empty file has no mapping and gives nil.
func mapFile(path string) (mapping, error) {
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

// Close unmaps the files. A second Close does nothing.
func (s *Store) Close() error {
	var err error
	for _, m := range s.mapped {
		err = errors.Join(err, unix.Munmap(m))
	}
	s.mapped, s.tensors = nil, nil
	return err
}
