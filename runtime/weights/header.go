package weights

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// A safetensors file is: the header's length as a little-endian uint64, a JSON header, the data. The header maps a tensor's
// name to its type, shape and place in the data, and "__metadata__" to a map of strings.
// https://huggingface.co/docs/safetensors, "Format".

// maxHeader is the largest header that the reference implementation accepts, in bytes.
const maxHeader = 100_000_000

// metadataKey is the one header key that is no tensor.
const metadataKey = "__metadata__"

// width is the size of one element in bytes of every type whose elements fill whole bytes; Float32 reads some of them.
var width = map[string]uint64{
	"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "C64": 8,
	"F8_E5M2": 1, "F8_E4M3": 1, "F8_E8M0": 1, "F8_E4M3FNUZ": 1, "F8_E5M2FNUZ": 1,
	"I64": 8, "I32": 4, "I16": 2, "I8": 1,
	"U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}

// entry is one tensor as its header describes it. Its data is content[begin:end] of the file's data.
type entry struct {
	name       string
	dtype      string
	shape      []int
	begin, end uint64
}

// parse reads and checks the header at the start of content, a whole file. It returns the entries in the order of their
// data, the metadata (nil if there is none) and the data. Nothing in it is trusted: the tensors must tile the data exactly,
// so that no two share bytes, none reaches outside and none is left over.
func parse(content []byte) (entries []entry, metadata map[string]string, data []byte, err error) {
	if len(content) < 8 {
		return nil, nil, nil, fmt.Errorf("%d bytes are too few for a safetensors file: it is truncated or of another format", len(content))
	}
	if bytes.HasPrefix(content, []byte("version https://git-lfs")) {
		return nil, nil, nil, errors.New("this is a pointer of Git LFS, not the file itself: run git lfs pull in its folder")
	}
	n := binary.LittleEndian.Uint64(content)
	if n > maxHeader {
		return nil, nil, nil, fmt.Errorf("a header of %d bytes, at most %d are allowed: this is no safetensors file", n, maxHeader)
	}
	if 8+n > uint64(len(content)) {
		return nil, nil, nil, fmt.Errorf("the header has %d bytes, the file only %d: it is truncated", n, len(content))
	}
	header, data := content[8:8+n], content[8+n:]
	if len(header) == 0 || header[0] != '{' {
		return nil, nil, nil, errors.New("the header does not begin with {: this is no safetensors file")
	}
	err = fields(header, func(name string, value json.RawMessage) error {
		if name == metadataKey {
			if err := json.Unmarshal(value, &metadata); err != nil {
				return fmt.Errorf("%s: %w", metadataKey, err)
			}
			return nil
		}
		e, err := parseEntry(name, value)
		if err != nil {
			return fmt.Errorf("tensor %s: %w", name, err)
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("header: %w", err)
	}
	if err := tile(entries, uint64(len(data))); err != nil {
		return nil, nil, nil, err
	}
	return entries, metadata, data, nil
}

// fields calls f for each field of a JSON object in its order. Unlike json.Unmarshal it refuses a repeated key, which
// would hide a tensor, and anything after the object but white space.
func fields(object []byte, f func(name string, value json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(object))
	open, err := d.Token()
	if err != nil {
		return noEOF(err)
	}
	if open != json.Delim('{') {
		return fmt.Errorf("got %v, want an object", open)
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return noEOF(err)
		}
		name, ok := key.(string)
		if !ok {
			return fmt.Errorf("got key %v, want a string", key)
		}
		if seen[name] {
			return fmt.Errorf("key %q is repeated", name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return fmt.Errorf("%q: %w", name, noEOF(err))
		}
		if err := f(name, value); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return noEOF(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is text after the object")
	}
	return nil
}

// noEOF makes the end of the text an error of its own: as plain io.EOF it would read as success somewhere.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseEntry reads one tensor's description, in which all three fields are required and no other is known.
func parseEntry(name string, value json.RawMessage) (entry, error) {
	e := entry{name: name}
	var offsets []uint64
	into := map[string]any{"dtype": &e.dtype, "shape": &e.shape, "data_offsets": &offsets}
	err := fields(value, func(key string, v json.RawMessage) error {
		p, ok := into[key]
		if !ok {
			return fmt.Errorf("unknown field %q", key)
		}
		delete(into, key)
		if bytes.Equal(v, []byte("null")) {
			return fmt.Errorf("%s is null", key)
		}
		if err := json.Unmarshal(v, p); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return e, err
	}
	if len(into) > 0 {
		var missing []string
		for key := range into {
			missing = append(missing, key)
		}
		slices.Sort(missing)
		return e, fmt.Errorf("no %s", missing[0])
	}
	if len(offsets) != 2 || offsets[0] > offsets[1] {
		return e, fmt.Errorf("data_offsets: got %d, want [begin, end]", offsets)
	}
	e.begin, e.end = offsets[0], offsets[1]
	size, err := e.size()
	if err != nil {
		return e, err
	}
	if e.end-e.begin != size {
		return e, fmt.Errorf("data_offsets %d hold %d bytes, %s %v needs %d", offsets, e.end-e.begin, e.dtype, e.shape, size)
	}
	return e, nil
}

// size is the number of bytes that type and shape call for.
func (e *entry) size() (uint64, error) {
	size, ok := width[e.dtype]
	if !ok {
		return 0, fmt.Errorf("unknown type %q", e.dtype)
	}
	empty := false
	for _, d := range e.shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v: a negative dimension", e.shape)
		}
		if d == 0 {
			empty = true // the other dimensions must still not overflow
			continue
		}
		if size > math.MaxInt64/uint64(d) {
			return 0, fmt.Errorf("shape %v: the size overflows", e.shape)
		}
		size *= uint64(d)
	}
	if empty {
		return 0, nil
	}
	return size, nil
}

// count is the number of elements; size has checked that it fits.
func (e *entry) count() int {
	n := 1
	for _, d := range e.shape {
		n *= d
	}
	return n
}

// tile sorts the entries by their place and demands that they cover the data without overlap, hole or rest.
func tile(entries []entry, length uint64) error {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.begin, b.begin), cmp.Compare(a.end, b.end), cmp.Compare(a.name, b.name))
	})
	at := uint64(0)
	for i := range entries {
		e := &entries[i]
		switch {
		case e.end > length:
			return fmt.Errorf("tensor %s: ends at byte %d of the data, the file has %d: it is truncated", e.name, e.end, length)
		case e.begin < at:
			return fmt.Errorf("tensor %s: begins at byte %d of the data, inside %s", e.name, e.begin, entries[i-1].name)
		case e.begin > at:
			return fmt.Errorf("tensor %s: begins at byte %d of the data, the tensor before it ends at %d", e.name, e.begin, at)
		}
		at = e.end
	}
	if at != length {
		return fmt.Errorf("%d bytes after the last tensor", length-at)
	}
	return nil
}
