package weights

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// file puts a length, a header and n bytes of data together.
func file(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

// TestMalformed holds one row for each rule that a header can break. want is what the message must say; the file's name
// must stand in it too.
func TestMalformed(t *testing.T) {
	const good = `"dtype":"F32","shape":[2],"data_offsets":[0,8]`
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"empty file":        {nil, "too few"},
		"seven bytes":       {make([]byte, 7), "too few"},
		"other format":      {[]byte("PK\x03\x04aaaaaaaaaaaaaaaa"), "no safetensors file"},
		"Git LFS":           {[]byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"), "run git lfs pull"},
		"header too long":   {file(`{"a":{`+good+`}}`, 8)[:30], "truncated"},
		"header huge":       {binary.LittleEndian.AppendUint64(nil, 1<<63), "no safetensors file"},
		"header wraps":      {binary.LittleEndian.AppendUint64(nil, ^uint64(0)-6), "no safetensors file"},
		"header empty":      {file(``, 8), "does not begin with {"},
		"header is a list":  {file(`[1]`, 0), "does not begin with {"},
		"space first":       {file(` {}`, 0), "does not begin with {"},
		"cut JSON":          {file(`{"a":`, 8), "unexpected EOF"},
		"no JSON":           {file(`{nonsense}`, 0), "invalid character"},
		"text after":        {file(`{} x`, 0), "after the object"},
		"two objects":       {file(`{}{}`, 0), "after the object"},
		"cut in a name":     {file(`{"a`, 0), "unexpected EOF"},
		"repeated name":     {file(`{"a":{`+good+`},"a":{`+good+`}}`, 8), `"a" is repeated`},
		"repeated field":    {file(`{"a":{"dtype":"F32",`+good+`}}`, 8), `"dtype" is repeated`},
		"unknown field":     {file(`{"a":{"stride":1,`+good+`}}`, 8), `unknown field "stride"`},
		"field case":        {file(`{"a":{"Dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8), `unknown field "Dtype"`},
		"no shape":          {file(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 4), "no shape"},
		"null shape":        {file(`{"a":{"dtype":"F32","shape":null,"data_offsets":[0,4]}}`, 4), "shape is null"},
		"no object":         {file(`{"a":7}`, 0), "want an object"},
		"unknown type":      {file(`{"a":{"dtype":"Q4","shape":[8],"data_offsets":[0,8]}}`, 8), `unknown type "Q4"`},
		"one offset":        {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}}`, 8), "want [begin, end]"},
		"three offsets":     {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}}`, 8), "want [begin, end]"},
		"negative offset":   {file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}`, 8), "data_offsets"},
		"reversed":          {file(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[8,0]}}`, 8), "want [begin, end]"},
		"size":              {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}`, 8), "needs 4"},
		"negative dim":      {file(`{"a":{"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]}}`, 8), "negative dimension"},
		"fraction":          {file(`{"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}`, 8), "shape"},
		"overflow":          {file(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}`, 8), "overflows"},
		"overflow behind 0": {file(`{"a":{"dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,0]}}`, 0), "overflows"},
		"outside":           {file(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, 8), "truncated"},
		"overlap": {file(`{"a":{`+good+`},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8),
			"tensor b: begins at byte 4 of the data, inside a"},
		"hole at start":  {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), "tensor before it ends at 0"},
		"rest":           {file(`{"a":{`+good+`}}`, 9), "1 bytes after"},
		"only rest":      {file(`{}`, 4), "4 bytes after"},
		"metadata type":  {file(`{"__metadata__":{"a":1}}`, 0), "__metadata__"},
		"metadata twice": {file(`{"__metadata__":{},"__metadata__":{}}`, 0), "repeated"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bad.safetensors")
			if err := os.WriteFile(path, c.content, 0o644); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path)
			if err == nil {
				s.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %q, want the path and %q in it", err, c.want)
			}
		})
	}
}

func TestWellFormed(t *testing.T) {
	for name, content := range map[string][]byte{
		"no tensors":    file(`{}`, 0),
		"padded":        file(`{}      `, 0),
		"scalar":        file(`{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, 4),
		"empty tensors": file(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]}}`, 0),
		"not by name":   file(`{"b":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"a":{"dtype":"BF16","shape":[1],"data_offsets":[3,5]}}`, 5),
		"metadata":      file(`{"__metadata__":{"format":"pt"}}`, 0),
	} {
		if _, _, _, err := parse(content); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzParse looks for headers that crash the parser, and for accepted ones whose tensors do not lie in the data.
func FuzzParse(f *testing.F) {
	f.Add(file(`{}`, 0))
	f.Add(file(`{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  `, 8))
	f.Add(file(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}`, 8))
	f.Add(file(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[8,0]}}`, 8))
	f.Fuzz(func(t *testing.T, content []byte) {
		entries, _, data, err := parse(content)
		if err != nil {
			return
		}
		total := 0
		for _, e := range entries {
			part := data[e.begin:e.end] // in range, or this panics
			if uint64(e.count())*width[e.dtype] != uint64(len(part)) {
				t.Errorf("%s: %s %v in %d bytes", e.name, e.dtype, e.shape, len(part))
			}
			total += len(part)
		}
		if total != len(data) {
			t.Errorf("tensors have %d of %d bytes", total, len(data))
		}
	})
}
