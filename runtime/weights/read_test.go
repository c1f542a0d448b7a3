package weights

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestReadBlocks reads tensors of several blocks, at odd lengths and places, whole and by rows, and compares every value.
func TestReadBlocks(t *testing.T) {
	const rows, columns = 97, 3*blockBytes/2/97 + 1 // more than one block of any type
	path := filepath.Join(t.TempDir(), "x.safetensors")
	bits := make([]uint16, rows*columns) // of finite BF16 and F16, each about once
	for i := range bits {
		for bits[i] = uint16(i * 40503); bits[i]&0x7c00 == 0x7c00; {
			bits[i] += 0x0400
		}
	}
	// Two bytes in front, so that nothing lies at a multiple of four.
	n := len(bits)
	content := file(fmt.Sprintf(`{"odd":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},
		"b":{"dtype":"BF16","shape":[%[1]d,%[2]d],"data_offsets":[2,%[3]d]},
		"h":{"dtype":"F16","shape":[%[1]d,%[2]d],"data_offsets":[%[3]d,%[4]d]},
		"f":{"dtype":"F32","shape":[%[1]d,%[2]d],"data_offsets":[%[4]d,%[5]d]}}`,
		rows, columns, 2+2*n, 2+4*n, 2+8*n), 2)
	for range 2 {
		for _, b := range bits {
			content = binary.LittleEndian.AppendUint16(content, b)
		}
	}
	want := map[string][]float32{}
	for i, b := range bits {
		f := float32(i) - 1e6
		content = binary.LittleEndian.AppendUint32(content, math.Float32bits(f))
		want["f"] = append(want["f"], f)
		want["b"] = append(want["b"], math.Float32frombits(uint32(b)<<16))
		want["h"] = append(want["h"], widenF16(b)) // itself checked by TestWidenF16
	}
	check(t, os.WriteFile(path, content, 0o644))

	s := open(t, path)
	for _, s.Finite = range []bool{false, true} {
		for name, w := range want {
			if got := read(t, s, name); !slices.Equal(got, w) {
				t.Errorf("%s differs", name)
			}
			for _, r := range [][2]int{{0, rows}, {1, rows}, {3, 4}, {5, 5}, {rows, rows}, {0, rows - 1}} {
				got := make([]float32, (r[1]-r[0])*columns)
				check(t, s.Float32Rows(name, r[0], r[1], got))
				if !slices.Equal(got, w[r[0]*columns:r[1]*columns]) {
					t.Errorf("%s: rows %v differ", name, r)
				}
			}
		}
	}
	for _, r := range [][2]int{{-1, 1}, {2, 1}, {0, rows + 1}, {math.MaxInt, math.MaxInt}} {
		wantError(t, s.Float32Rows("b", r[0], r[1], nil), path, "tensor b", fmt.Sprintf("no rows [%d, %d)", r[0], r[1]))
	}
	wantError(t, s.Float32Rows("b", 1, 3, make([]float32, columns)), "rows [1, 3)", fmt.Sprintf("%d elements, the destination %d", 2*columns, columns))
	wantError(t, s.Float32Rows("absent", 0, 1, nil), "no tensor absent")
	wantError(t, s.Float32Rows("odd", 0, 2, make([]float32, 2)), "tensor odd is U8", "quantised")
}

// TestRowsOfScalar guards an index beyond a shape without dimensions.
func TestRowsOfScalar(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	check(t, Write(path, []Tensor{{Name: "s", Data: []float32{1}}, {Name: "none", Shape: []int{3, 0}}}, "F32", nil))
	s := open(t, path)
	wantError(t, s.Float32Rows("s", 0, 1, make([]float32, 1)), "[] has no rows [0, 1)")
	check(t, s.Float32Rows("none", 1, 3, nil))
}

// TestFinite puts one value that is none, or two, into each place where a block, a word or a tensor may begin or end.
func TestFinite(t *testing.T) {
	const n = blockBytes + 5 // elements: at least two blocks of every type, and a word that is not full
	for dtype, c := range map[string]struct {
		odd     []uint32
		largest uint32 // that is finite: it must not carry into its neighbour
	}{
		"F32":  {[]uint32{0x7f800000, 0xff800000, 0x7fc00000, 0xff800001}, 0xff7fffff},
		"BF16": {[]uint32{0x7f80, 0xff80, 0x7fc0, 0xff81}, 0xff7f},
		"F16":  {[]uint32{0x7c00, 0xfc00, 0x7e00, 0xfc01}, 0xfbff},
	} {
		size := int(width[dtype])
		bytes := func(bits uint32) []byte { return binary.LittleEndian.AppendUint32(nil, bits)[:size] }
		content := file(fmt.Sprintf(`{"w":{"dtype":%q,"shape":[%d],"data_offsets":[0,%d]}}`, dtype, n, n*size), 0)
		begin := int64(len(content))
		for range n {
			content = append(content, bytes(c.largest)...)
		}
		path, dst := filepath.Join(t.TempDir(), dtype), make([]float32, n)
		check(t, os.WriteFile(path, content, 0o644))
		f := must(os.OpenFile(path, os.O_WRONLY, 0))
		defer f.Close()
		put := func(i int, bits uint32) { must(f.WriteAt(bytes(bits), begin+int64(i*size))) }

		s := open(t, path)
		s.Finite = true
		if err := s.Float32("w", dst); err != nil {
			t.Errorf("%s: the largest values: %v", dtype, err)
		}
		for k, at := range []int{0, 1, 2, 3, 7, cachedBytes/size - 1, blockBytes/size - 1, blockBytes / size, n/2 + 1, n - 2, n - 1} {
			put(n-1, c.odd[0]) // the first of two is named
			put(at, c.odd[k%len(c.odd)])
			wantError(t, s.Float32("w", dst), path, "tensor w", fmt.Sprintf("element %d of %d is", at, n))
			if at > 0 {
				wantError(t, s.Float32Rows("w", 1, n, dst[1:]), fmt.Sprintf("element %d of %d is", at, n))
			}
			put(n-1, c.largest)
			put(at, c.largest)
		}
	}
}

// TestFileChanged shortens a file that is open: reading what is gone is an error, and does not end the process.
func TestFileChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	data := make([]float32, 1<<20)
	check(t, Write(path, []Tensor{{Name: "a", Shape: []int{8}, Data: data[:8]}, {Name: "b", Shape: []int{len(data)}, Data: data}}, "F32", nil))
	s := open(t, path)
	check(t, os.Truncate(path, 4096))
	check(t, s.Float32("a", data[:8])) // in the page that is left
	wantError(t, s.Float32("b", data), path, "tensor b", "the file was changed since it was opened")
	defer func() {
		if recover() == nil {
			t.Error("a fault elsewhere was taken for one of the file")
		}
	}()
	elsewhere := kind{size: 4, widen: func([]float32, []byte) { *(*int)(nil) = 0 }}
	_, _ = s.tensors["a"].content.widen(elsewhere, false, 0, data[:1])
}
