package weights

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// awkward holds the values that a careless conversion breaks, bit patterns included.
var awkward = []float32{
	0, float32(math.Copysign(0, -1)), 1, -2.5, 3.1415927, 1e-45, 1.1754944e-38, 3.0e38, math.MaxFloat32,
	float32(math.Inf(1)), float32(math.Inf(-1)), math.Float32frombits(0x7fc12345), math.Float32frombits(0x7f812345),
}

func TestRoundTripF32(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	big := make([]float32, 3*70_001) // more than one chunk of the writer
	for i := range big {
		big[i] = float32(i) * 1.0001
	}
	in := []Tensor{{Name: "w.b", Shape: []int{len(awkward)}, Data: awkward}, {Name: "w.a", Shape: []int{3, 70_001}, Data: big}, {Name: "scalar", Data: []float32{7}}, {Name: "none", Shape: []int{0, 4}}}
	sum, err := WriteSum(path, in, "F32", map[string]string{"step": "3"})
	check(t, err)
	if want := must(HashFile(path)); sum != want {
		t.Errorf("the sum of what was written is %s, of the file %s", sum, want)
	}
	s := open(t, path)
	if got, want := s.Names(), []string{"none", "scalar", "w.a", "w.b"}; !slices.Equal(got, want) {
		t.Fatalf("names %v, want %v", got, want)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, m, _, err := parse(content); err != nil || m["step"] != "3" || m["format"] != "pt" {
		t.Errorf("metadata %v, %v", m, err)
	}
	for _, x := range in {
		if got := s.Shape(x.Name); got == nil || !slices.Equal(got, x.Shape) {
			t.Errorf("%s: shape %v, want %v", x.Name, got, x.Shape)
		}
		got := read(t, s, x.Name)
		for i, v := range got {
			if math.Float32bits(v) != math.Float32bits(x.Data[i]) {
				t.Fatalf("%s: element %d is %x, want %x", x.Name, i, math.Float32bits(v), math.Float32bits(x.Data[i]))
			}
		}
	}
	// Order of the argument must not show in the file.
	other := filepath.Join(t.TempDir(), "other")
	slices.Reverse(in)
	if err := Write(other, in, "F32", map[string]string{"step": "3"}); err != nil {
		t.Fatal(err)
	}
	a, b := must(os.ReadFile(path)), must(os.ReadFile(other))
	if !slices.Equal(a, b) {
		t.Error("the order of the tensors changes the file")
	}
}

// TestBF16Exact writes every bfloat16 and expects its bits back.
func TestBF16Exact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	all := make([]float32, 1<<16)
	for i := range all {
		all[i] = math.Float32frombits(uint32(i) << 16)
	}
	if err := Write(path, []Tensor{{Name: "all", Shape: []int{1 << 8, 1 << 8}, Data: all}}, "BF16", nil); err != nil {
		t.Fatal(err)
	}
	for i, v := range read(t, open(t, path), "all") {
		want := math.Float32bits(all[i])
		if all[i] != all[i] {
			want |= 0x40 << 16 // a signalling NaN becomes quiet
		}
		if math.Float32bits(v) != want {
			t.Fatalf("bfloat16 %04x came back as %08x", i, math.Float32bits(v))
		}
	}
}

func TestNarrowBF16(t *testing.T) {
	for _, c := range []struct {
		in   uint32
		want uint16
	}{
		{0x3f808000, 0x3f80}, // a tie, down to even
		{0x3f818000, 0x3f82}, // a tie, up to even
		{0x3f808001, 0x3f81}, // above a tie
		{0x3f817fff, 0x3f81}, // below a tie
		{0x7f7f7fff, 0x7f7f}, // the largest float32 that stays finite
		{0x7f7f8000, 0x7f80}, // the smallest that does not
		{0x7f800001, 0x7fc0}, // a NaN whose payload is in the lower half
		{0xff800000, 0xff80},
		{0x00008000, 0x0000}, // half the smallest subnormal, down to even
		{0x00008001, 0x0001},
		{0x80000000, 0x8000},
	} {
		if got := narrowBF16(math.Float32frombits(c.in)); got != c.want {
			t.Errorf("%08x rounds to %04x, want %04x", c.in, got, c.want)
		}
	}
}

// TestWidenF16 checks every half-precision value against its definition.
func TestWidenF16(t *testing.T) {
	for h := range 1 << 16 {
		got := float64(widenF16(uint16(h)))
		exponent, mantissa := h>>10&0x1f, float64(h&0x3ff)
		want := math.Ldexp(1024+mantissa, exponent-25)
		switch {
		case exponent == 0:
			want = math.Ldexp(mantissa, -24)
		case exponent == 0x1f && mantissa == 0:
			want = math.Inf(1)
		case exponent == 0x1f:
			if !math.IsNaN(got) {
				t.Fatalf("%04x: got %g, want NaN", h, got)
			}
			continue
		}
		want = math.Copysign(want, float64(1-2*(h>>15)))
		if got != want || math.Signbit(got) != math.Signbit(want) {
			t.Fatalf("%04x: got %g, want %g", h, got, want)
		}
	}
}

func TestReadErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.safetensors")
	content := file(`{"i":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"h":{"dtype":"F16","shape":[2],"data_offsets":[8,12]}}`, 12)
	copy(content[len(content)-4:], "\x00\x3c\x00\xc0")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	if got := read(t, s, "h"); !slices.Equal(got, []float32{1, -2}) {
		t.Errorf("half precision: %v", got)
	}
	wantError(t, s.Float32("i", make([]float32, 1)), path, "tensor i is I64")
	wantError(t, s.Float32("h", make([]float32, 3)), path, "tensor h", "2 elements", "3")
	wantError(t, s.Float32("absent", nil), path, "no tensor absent")
	if s.Shape("absent") != nil || s.Has("absent") || s.tensors["h"].dtype != "F16" {
		t.Error("an absent tensor has a shape or type")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestSharded(t *testing.T) {
	write := func(t *testing.T, index string) string {
		dir := t.TempDir()
		check(t, Write(filepath.Join(dir, "a.safetensors"), []Tensor{{Name: "x", Shape: []int{1}, Data: []float32{1}}, {Name: "z", Shape: []int{1}, Data: []float32{3}}}, "F32", nil))
		check(t, Write(filepath.Join(dir, "b.safetensors"), []Tensor{{Name: "y", Shape: []int{1}, Data: []float32{2}}}, "BF16", nil))
		check(t, os.WriteFile(filepath.Join(dir, indexFile), []byte(index), 0o644))
		return dir
	}
	dir := write(t, `{"metadata":{"total_size":10},"weight_map":{"x":"a.safetensors","y":"b.safetensors","z":"a.safetensors"}}`)
	s := open(t, dir)
	if got := s.Names(); !slices.Equal(got, []string{"x", "y", "z"}) {
		t.Fatalf("names %v", got)
	}
	if x, y := read(t, s, "x"), read(t, s, "y"); x[0] != 1 || y[0] != 2 {
		t.Errorf("x %v, y %v", x, y)
	}
	for name, c := range map[string]struct{ index, want string }{
		"not listed": {`{"weight_map":{"x":"a.safetensors","y":"b.safetensors"}}`, "tensor z is not listed"},
		"wrong file": {`{"weight_map":{"x":"b.safetensors","y":"b.safetensors","z":"a.safetensors"}}`, "tensor x is listed for b.safetensors"},
		"absent":     {`{"weight_map":{"x":"a.safetensors","y":"b.safetensors","z":"a.safetensors","q":"a.safetensors"}}`, "tensor q is listed"},
		"no shard":   {`{"weight_map":{"x":"a.safetensors","v":"c.safetensors","w":"c.safetensors"}}`, "lists 2 tensors (v and so on) in c.safetensors, which is missing"},
		"no shards":  {`{"weight_map":{"x":"d.safetensors","v":"c.safetensors"}}`, "(x and so on) in d.safetensors"},
		"path":       {`{"weight_map":{"x":"../a.safetensors"}}`, "not a plain file name"},
		"parent":     {`{"weight_map":{"x":".."}}`, "not a plain file name"},
		"empty":      {`{"weight_map":{}}`, "lists no tensor"},
		"no JSON":    {`{`, "unexpected end"},
	} {
		_, err := Open(write(t, c.index))
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		wantError(t, err, c.want)
	}
	_, err := Open(t.TempDir())
	wantError(t, err, "neither model.safetensors nor model.safetensors.index.json")

	// The same tensor in two files is refused even though the index is consistent for one of them.
	twice := write(t, `{"weight_map":{"x":"a.safetensors","y":"b.safetensors","z":"a.safetensors"}}`)
	check(t, Write(filepath.Join(twice, "b.safetensors"), []Tensor{{Name: "y", Shape: []int{1}, Data: []float32{2}}, {Name: "x", Shape: []int{1}, Data: []float32{9}}}, "F32", nil))
	_, err = Open(twice)
	wantError(t, err, "tensor x is also in", "a.safetensors")
}

// TestOtherFormats: a folder with weights of another kind says which, and what to do.
func TestOtherFormats(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"pickled":    {"pytorch_model-00001-of-00002.bin", "only pytorch_model-00001-of-00002.bin: mixr needs safetensors, as a pickled file can run any code"},
		"checkpoint": {"consolidated.00.pth", "only consolidated.00.pth: mixr needs safetensors"},
		"quantised":  {"model-q4.gguf", "only model-q4.gguf: mixr needs safetensors: take the checkpoint"},
		"other name": {"adapter_model.safetensors", "only adapter_model.safetensors: if it holds the weights, name the file itself"},
		"nothing":    {"config.json", "neither model.safetensors nor model.safetensors.index.json is there"},
	} {
		dir := t.TempDir()
		check(t, os.WriteFile(filepath.Join(dir, c.file), nil, 0o644))
		_, err := Open(dir)
		wantError(t, err, dir, c.want)
		if name == "nothing" && strings.Contains(err.Error(), "only") {
			t.Errorf("%q", err)
		}
	}

	// A link of a cache whose blob is gone, as after a download that was cut.
	dir := t.TempDir()
	check(t, os.Symlink("gone", filepath.Join(dir, singleFile)))
	_, err := Open(dir)
	wantError(t, err, filepath.Join(dir, singleFile), "no such file")
}

func TestWriteErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	one := []float32{1}
	for name, c := range map[string]struct {
		tensors []Tensor
		dtype   string
		want    string
	}{
		"type":     {[]Tensor{{Name: "a", Shape: []int{1}, Data: one}}, "F16", `type "F16"`},
		"twice":    {[]Tensor{{Name: "a", Shape: []int{1}, Data: one}, {Name: "a", Shape: []int{1}, Data: one}}, "F32", "a is given twice"},
		"no name":  {[]Tensor{{Name: "", Shape: []int{1}, Data: one}}, "F32", "cannot be named"},
		"reserved": {[]Tensor{{Name: "__metadata__", Shape: []int{1}, Data: one}}, "F32", "cannot be named"},
		"length":   {[]Tensor{{Name: "a", Shape: []int{2}, Data: one}}, "F32", "tensor a: [2] has 2 elements, the data 1"},
		"negative": {[]Tensor{{Name: "a", Shape: []int{-1}}}, "F32", "negative"},
		"beyond":   {[]Tensor{{Name: "a", Shape: []int{2}, Data: []float32{1, math.MaxFloat32}}}, "BF16", "tensor a: element 1 is 3.4028235e+38, beyond the largest BF16"},
	} {
		check(t, os.WriteFile(path, []byte("old"), 0o644))
		wantError(t, Write(path, c.tensors, c.dtype, nil), path, c.want)
		if got := must(os.ReadFile(path)); string(got) != "old" {
			t.Errorf("%s: the old file is gone", name)
		}
		if left := must(filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))); len(left) > 0 {
			t.Errorf("%s: left behind %v", name, left)
		}
	}
	wantError(t, Write(filepath.Join(t.TempDir(), "no", "such", "x"), nil, "F32", nil), "no such file")
}

func TestFirstOdd(t *testing.T) {
	if i := firstOdd([]float32{0, -1, math.MaxFloat32, 1e-45}); i != -1 {
		t.Errorf("all are finite, got %d", i)
	}
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		if i := firstOdd([]float32{0, 1, bad}); i != 2 {
			t.Errorf("%v: got %d, want 2", bad, i)
		}
	}
}

func TestHash(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model.safetensors")
	check(t, Write(path, []Tensor{{Name: "a", Shape: []int{1}, Data: []float32{1}}}, "F32", nil))
	var c *SumCache // none
	a, b := must(c.Hash(dir)), must(c.Hash(path))
	if a != b || len(a) != 64 {
		t.Errorf("folder %s, file %s", a, b)
	}
	check(t, Write(path, []Tensor{{Name: "a", Shape: []int{1}, Data: []float32{2}}}, "F32", nil))
	if must(c.Hash(dir)) == a {
		t.Error("other weights, same hash")
	}
	_, err := c.Hash(t.TempDir())
	wantError(t, err, "neither")
}

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	check(t, err)
	t.Cleanup(func() { check(t, s.Close()) })
	return s
}

func read(t testing.TB, s *Store, name string) []float32 {
	t.Helper()
	n := 1
	for _, d := range s.Shape(name) {
		n *= d
	}
	dst := make([]float32, n)
	check(t, s.Float32(name, dst))
	return dst
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one with %q", parts)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("got %q, want %q in it", err, p)
		}
	}
}
