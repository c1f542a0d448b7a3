package weights

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"
)

// Tensor is one tensor to write. Data is row-major and as long as the product of Shape; a scalar has no Shape and one
// element.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
	// Read, where it is set, stands in for Data: it fills dst when the tensor's turn has come, so that one tensor at a time is in memory.
	Read func(dst []float32) error
}

// count is the number of elements; buildHeader has checked that it fits.
func (t *Tensor) count() int {
	e := entry{shape: t.Shape}
	return e.count()
}

// Write stores tensors as one safetensors file with element type dtype, "F32" (bit-exact) or "BF16" (nearest, ties to
// even; a finite value that would become infinite is an error). Tensors are laid out by name, so the same tensors give the
// same bytes in whatever order they come. Metadata may be nil; "format": "pt" is added to it if it has no format, because
// readers of the Hugging Face libraries insist on one.
//
// The file appears under its name only once it is complete and on disk; on an error an older file stays as it was.
func Write(path string, tensors []Tensor, dtype string, metadata map[string]string) error {
	return write(path, tensors, dtype, metadata, io.Discard)
}

// WriteSum is Write and returns the SHA-256 of the file's content in hex, as HashFile would, without reading the file again.
func WriteSum(path string, tensors []Tensor, dtype string, metadata map[string]string) (string, error) {
	h := sha256.New()
	if err := write(path, tensors, dtype, metadata, h); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func write(path string, tensors []Tensor, dtype string, metadata map[string]string, also io.Writer) error {
	f, err := pending(path, tensors, dtype, metadata, also)
	if err == nil {
		defer f.Cleanup()                // a no-op after the replacement
		err = f.CloseAtomicallyReplace() // syncs the file first
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("weights: write %s: %w", path, err)
	}
	return nil
}

// pending writes a safetensors file beside path that has yet to take its place, and the same bytes into also. Whoever called cleans it
// up.
func pending(path string, tensors []Tensor, dtype string, metadata map[string]string, also io.Writer) (*renameio.PendingFile, error) {
	sorted := slices.SortedFunc(slices.Values(tensors), byName)
	header, err := buildHeader(sorted, dtype, metadata)
	if err != nil {
		return nil, err
	}
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return nil, err
	}
	if err := fill(io.MultiWriter(f, also), header, sorted, dtype); err != nil {
		return nil, errors.Join(err, f.Cleanup())
	}
	return f, nil
}

func fill(to io.Writer, header []byte, tensors []Tensor, dtype string) error {
	w := bufio.NewWriterSize(to, 1<<20)
	if _, err := w.Write(header); err != nil {
		return err
	}
	for i := range tensors {
		if err := writeData(w, &tensors[i], dtype); err != nil {
			return fmt.Errorf("tensor %s: %w", tensors[i].Name, err)
		}
	}
	return w.Flush()
}

func byName(a, b Tensor) int { return cmp.Compare(a.Name, b.Name) }

// buildHeader lays the tensors out one after the other and returns the file's beginning: length and header.
func buildHeader(tensors []Tensor, dtype string, metadata map[string]string) ([]byte, error) {
	if dtype != "F32" && dtype != "BF16" {
		return nil, fmt.Errorf("type %q, want F32 or BF16", dtype)
	}
	text := map[string]string{"format": "pt"}
	for k, v := range metadata {
		text[k] = v
	}
	header := map[string]any{metadataKey: text}
	at := uint64(0)
	for i, t := range tensors {
		if t.Name == "" || t.Name == metadataKey {
			return nil, fmt.Errorf("a tensor cannot be named %q", t.Name)
		}
		if i > 0 && tensors[i-1].Name == t.Name {
			return nil, fmt.Errorf("tensor %s is given twice", t.Name)
		}
		e := entry{dtype: dtype, shape: t.Shape}
		size, err := e.size()
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", t.Name, err)
		}
		if n := e.count(); t.Read == nil && n != len(t.Data) {
			return nil, fmt.Errorf("tensor %s: %v has %d elements, the data %d", t.Name, t.Shape, n, len(t.Data))
		}
		header[t.Name] = struct {
			DType   string    `json:"dtype"`
			Shape   []int     `json:"shape"`
			Offsets [2]uint64 `json:"data_offsets"`
		}{dtype, append([]int{}, t.Shape...), [2]uint64{at, at + size}}
		at += size
	}
	h, err := json.Marshal(header) // keys come out sorted
	if err != nil {
		return nil, err
	}
	for len(h)%8 != 0 { // the data then begins at a multiple of 8
		h = append(h, ' ')
	}
	if len(h) > maxHeader {
		return nil, fmt.Errorf("a header of %d bytes, at most %d are allowed", len(h), maxHeader)
	}
	return append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...), nil
}

func writeData(w io.Writer, t *Tensor, dtype string) error {
	const chunk = 1 << 16 // elements converted at a time
	data := t.Data
	if t.Read != nil {
		data = make([]float32, t.count())
		if err := t.Read(data); err != nil {
			return err
		}
	}
	buf := make([]byte, 0, 4*min(chunk, len(data)))
	for start := 0; start < len(data); start += chunk {
		part := data[start:min(start+chunk, len(data))]
		buf = buf[:0]
		for i, v := range part {
			if dtype == "F32" {
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
				continue
			}
			b := narrowBF16(v)
			if b&0x7fff == 0x7f80 && !math.IsInf(float64(v), 0) {
				return fmt.Errorf("element %d is %g, beyond the largest BF16", start+i, v)
			}
			buf = binary.LittleEndian.AppendUint16(buf, b)
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// syncDir makes a rename in the folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
