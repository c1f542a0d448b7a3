package ort_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/graph"
	"mixr/runtime/ort"
	"mixr/runtime/ort/orttest"
)

// alone runs the test in a process of its own, because an engine that other tests have open stands in its way. It returns
// false in the parent, after the child has passed.
func alone(t *testing.T, env ...string) bool {
	t.Helper()
	const mark = "MIXR_TEST_ALONE"
	if os.Getenv(mark) == t.Name() {
		return true
	}
	c := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	c.Env = append(append(os.Environ(), mark+"="+t.Name()), env...)
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("in a process of its own: %v\n%s", err, out)
	}
	return false
}

func TestEngineFacts(t *testing.T) {
	e := orttest.Open(t)
	if !strings.HasPrefix(e.Version(), "1.") {
		t.Errorf("version %q", e.Version())
	}
	if !slices.Contains(e.Providers(), "CPUExecutionProvider") {
		t.Errorf("providers %v", e.Providers())
	}
	if !filepath.IsAbs(e.Lib()) {
		t.Errorf("library %q", e.Lib())
	}
	_, err := ort.Open(e.Lib())
	wantError(t, err, e.Lib(), "still open")
}

func TestReopen(t *testing.T) {
	lib := orttest.Open(t).Lib()
	if !alone(t, "MIXR_ORT_LIB="+lib) {
		return
	}
	e := orttest.Open(t)
	x := tensor(t, e, graph.F32, 2)
	wantError(t, e.Close(), "0 sessions, 0 bindings and 1 tensors")
	s := session(t, e, double(t))
	wantError(t, e.Close(), "1 sessions")
	b, err := s.NewBinding()
	check(t, err)
	wantError(t, s.Close(), "double", "1 bindings")
	check(t, b.Close())
	check(t, b.Close())
	check(t, s.Close())
	check(t, s.Close())
	_, err = s.NewBinding()
	wantError(t, err, "session double is closed")
	x.Free()
	x.Free()
	check(t, e.Close())
	check(t, e.Close())
	for range 3 {
		again, err := ort.Open(lib)
		check(t, err)
		check(t, again.Probe())
		check(t, again.Close())
	}
	check(t, e.Close()) // of an engine that is not the open one
}

// TestBadLibrary opens things that are no usable library. The fakes are compiled here: cgo needs the C compiler anyway.
func TestBadLibrary(t *testing.T) {
	if !alone(t) {
		return
	}
	dir := t.TempDir()
	text := filepath.Join(dir, "text.so")
	check(t, os.WriteFile(text, []byte("not a library"), 0o644))
	none := compile(t, dir, "none", `int nothing(void) { return 0; }`)
	fake := func(version string) string {
		return compile(t, dir, "fake"+version, fmt.Sprintf(`
			static const void* api(unsigned v) { return 0; }
			static const char* version(void) { return "%s"; }
			static const struct { const void* (*a)(unsigned); const char* (*v)(void); } base = { api, version };
			const void* OrtGetApiBase(void) { return &base; }`, version))
	}
	for _, c := range []struct{ lib, want string }{
		{"", "no library is named"},
		{filepath.Join(dir, "absent.so"), "no such file"},
		{dir, "not a file"},
		{text, "text.so"},
		{none, "no OrtGetApiBase"},
		{fake("1.17.3"), "ONNX Runtime 1.17.3 is too old, want 1.24 or later"},
		{fake("0.5.0"), `ONNX Runtime "0.5.0"`},
		{fake("2.0.0"), `ONNX Runtime "2.0.0"`},
		{fake("1.x"), "too old"},
		{fake("nonsense"), `ONNX Runtime "nonsense"`},
		{fake("1.99.0"), "1.99.0"}, // right number, but serves no API
	} {
		e, err := ort.Open(c.lib)
		if err == nil {
			t.Fatalf("%s: opened %s", c.lib, e.Version())
		}
		wantError(t, err, "ort: open", c.want)
		t.Log(err)
	}
}

func compile(t *testing.T, dir, name, source string) string {
	t.Helper()
	c, lib := filepath.Join(dir, name+".c"), filepath.Join(dir, name+".so")
	check(t, os.WriteFile(c, []byte(source), 0o644))
	out, err := exec.Command("cc", "-shared", "-fPIC", "-o", lib, c).CombinedOutput()
	if err != nil {
		t.Fatalf("cc: %v\n%s", err, out)
	}
	return lib
}

// double is the graph o.y = x + x for x [N, 3].
func double(t *testing.T) *graph.Graph {
	return build(t, "double", func(g *graph.Graph) {
		x := g.Input("x", graph.F32, "N", 3)
		g.Output("y", graph.Add(x, x))
	})
}

func build(t *testing.T, name string, f func(g *graph.Graph)) *graph.Graph {
	t.Helper()
	g, err := graph.Build(name, f)
	check(t, err)
	return g
}

func session(t *testing.T, e *ort.Engine, g *graph.Graph) *ort.Session {
	t.Helper()
	s, err := e.NewSession(g, ort.SessionOptions{})
	check(t, err)
	return s
}

// tensor makes a tensor that the test frees at its end.
func tensor(t *testing.T, e *ort.Engine, d graph.DType, shape ...int) *ort.Tensor {
	t.Helper()
	x, err := e.NewTensor(d, shape...)
	check(t, err)
	t.Cleanup(x.Free)
	return x
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err error, parts ...string) {
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
