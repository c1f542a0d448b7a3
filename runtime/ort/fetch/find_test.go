package fetch

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const library = "the bytes of a library"

// world is a machine of a test: a cache folder, clients that are shell scripts and a server in GitHub's place.
type world struct {
	finder
	dir   string // of the archives that the clients hand out
	bin   string // on PATH, and nothing else but the shell's tools
	lines []string
	mu    sync.Mutex
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), bin: t.TempDir()}
	t.Setenv("PATH", w.bin)
	tgz, whl := tarball("package/lib.so", library), wheel("onnxruntime/lib.so", library)
	w.write(t, "node.tgz", tgz)
	w.write(t, "ort.whl", whl)
	w.write(t, "ort.tgz", tgz)
	w.finder = finder{
		platform: "plan9/mips",
		pins: map[string]pin{"plan9/mips": {
			file:   "lib.so",
			npm:    source{sum(tgz), "node.tgz", int64(len(tgz)), "package/lib.so", sum([]byte(library))},
			pip:    source{"", "ort.whl", int64(len(whl)), "onnxruntime/lib.so", sum([]byte(library))},
			github: source{sum(tgz), "ort.tgz", int64(len(tgz)), "package/lib.so", ""},
		}},
		release: "http://127.0.0.1:1", // nothing listens there
		client:  http.DefaultClient,
		pause:   time.Millisecond,
		stall:   10 * time.Second,
	}
	w.options.CacheDir = t.TempDir()
	w.options.Log = func(line string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.lines = append(w.lines, line)
	}
	return w
}

func (w *world) write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// client installs a shell script as npm or pip3. In it $dest is the folder to fill; calls are counted in the file NAME.calls.
func (w *world) client(t *testing.T, name, script string) {
	t.Helper()
	text := `#!/bin/sh
PATH=/usr/bin:/bin
echo "$@" >>` + filepath.Join(w.dir, name+".calls") + `
while [ $# -gt 0 ]; do case $1 in --dest|--pack-destination) dest=$2;; esac; shift; done
` + strings.ReplaceAll(script, "$from", w.dir) + "\n"
	if err := os.WriteFile(filepath.Join(w.bin, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (w *world) calls(name string) int {
	text, _ := os.ReadFile(filepath.Join(w.dir, name+".calls"))
	return strings.Count(string(text), "\n")
}

func (w *world) logged(part string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.lines, func(l string) bool { return strings.Contains(l, part) })
}

// wantLibrary expects the library in the cache and nothing beside it that a fetch should have removed.
func (w *world) wantLibrary(t *testing.T, lib string, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(lib)
	if err != nil || string(got) != library {
		t.Errorf("library %q, %v", got, err)
	}
	if !strings.HasPrefix(lib, w.options.CacheDir) {
		t.Errorf("library at %s", lib)
	}
	if got := w.files(t); !slices.Equal(got, []string{"lib.so", "lib.so.sha256", "lock"}) {
		t.Errorf("the cache has %v", got)
	}
}

// files lists the cache folder of the pinned version.
func (w *world) files(t *testing.T) (names []string) {
	t.Helper()
	dir, err := w.cacheDir()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func tarball(name, content string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, f := range [][2]string{{"package/README", "text"}, {"./" + name, content}} {
		w.WriteHeader(&tar.Header{Name: f[0], Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(f[1]))})
		w.Write([]byte(f[1]))
	}
	w.Close()
	z.Close()
	return b.Bytes()
}

func wheel(name, content string) []byte {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range [][2]string{{"onnxruntime/LICENSE", "text"}, {name, content}} {
		w, _ := z.Create(f[0])
		w.Write([]byte(f[1]))
	}
	z.Close()
	return b.Bytes()
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
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

func TestExplicit(t *testing.T) {
	lib := filepath.Join(t.TempDir(), "any.so")
	_, err := Find(t.Context(), Options{Lib: lib})
	wantError(t, err, "MIXR_ORT_LIB", lib, "no such file")
	_, err = Find(t.Context(), Options{Lib: filepath.Dir(lib)})
	wantError(t, err, "MIXR_ORT_LIB", "is a folder")
	if err := os.WriteFile(lib, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Find(t.Context(), Options{Lib: lib})
	if err != nil || got != lib {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestUnknownPlatform(t *testing.T) {
	w := newWorld(t)
	w.platform = "linux/riscv64"
	_, err := w.find(t.Context())
	wantError(t, err, "linux/riscv64", "set MIXR_ORT_LIB")
}

func TestNpm(t *testing.T) {
	w := newWorld(t)
	w.client(t, "npm", `cp $from/node.tgz $dest`)
	lib, err := w.find(t.Context())
	w.wantLibrary(t, lib, err)
	again, err := w.find(t.Context())
	w.wantLibrary(t, again, err)
	if again != lib || w.calls("npm") != 1 {
		t.Errorf("%s then %s with %d calls", lib, again, w.calls("npm"))
	}
	call, _ := os.ReadFile(filepath.Join(w.dir, "npm.calls"))
	if !strings.Contains(string(call), "pack onnxruntime-node@1.30.0 --ignore-scripts") {
		t.Errorf("npm was called with %s", call)
	}
	for _, part := range []string{"is not in " + filepath.Dir(lib), "fetching node.tgz, 0.0 MB", "by npm"} {
		if !w.logged(part) {
			t.Errorf("nothing logged with %q: %q", part, w.lines)
		}
	}
}

// TestFallBack goes down the list: npm hands out something else, pip fails, GitHub works.
func TestFallBack(t *testing.T) {
	w := newWorld(t)
	w.client(t, "npm", `cp $from/other.tgz $dest/node.tgz`)
	w.write(t, "other.tgz", tarball("package/lib.so", "tampered"))
	w.client(t, "pip3", `echo no matching distribution >&2; exit 1`)
	w.serve(t, func(rw http.ResponseWriter, r *http.Request) {
		http.ServeFile(rw, r, filepath.Join(w.dir, filepath.Base(r.URL.Path)))
	})
	lib, err := w.find(t.Context())
	w.wantLibrary(t, lib, err)
	if !w.logged("it is not used") || !w.logged("no matching distribution") {
		t.Errorf("the failures were not logged: %q", w.lines)
	}
}

func TestPip(t *testing.T) {
	w := newWorld(t)
	w.client(t, "pip", `cp $from/ort.whl $dest`) // no npm, and pip under its other name
	lib, err := w.find(t.Context())
	w.wantLibrary(t, lib, err)
}

func TestWrongLibrary(t *testing.T) {
	w := newWorld(t)
	w.client(t, "pip3", `cp $from/ort.whl $dest`)
	w.write(t, "ort.whl", wheel("onnxruntime/lib.so", "tampered"))
	_, err := w.find(t.Context())
	wantError(t, err, "there is no npm client", sum([]byte("tampered")), sum([]byte(library)), "GitHub", "set MIXR_ORT_LIB")
	if got := w.files(t); !slices.Equal(got, []string{"lock", "ort.tgz.part"}) {
		t.Errorf("the cache has %v", got)
	}
}

func TestArchiveWithout(t *testing.T) {
	w := newWorld(t)
	w.client(t, "pip3", `cp $from/ort.whl $dest`)
	w.write(t, "ort.whl", wheel("onnxruntime/other.so", library))
	w.client(t, "npm", `exit 0`)
	_, err := w.find(t.Context())
	wantError(t, err, "left no node.tgz", "there is no onnxruntime/lib.so in it")
}

func TestDamaged(t *testing.T) {
	w := newWorld(t)
	w.client(t, "npm", `cp $from/node.tgz $dest`)
	lib, err := w.find(t.Context())
	w.wantLibrary(t, lib, err)
	for range 2 {
		if err := os.WriteFile(lib, []byte("the bytes of a libraru"), 0o644); err != nil {
			t.Fatal(err)
		}
		// What a killed process may leave is swept.
		if err := os.MkdirAll(filepath.Join(filepath.Dir(lib), "npm-123"), 0o755); err != nil {
			t.Fatal(err)
		}
		lib, err = w.find(t.Context())
		w.wantLibrary(t, lib, err)
	}
	if w.calls("npm") != 3 || !w.logged("is damaged") {
		t.Errorf("%d calls, log %q", w.calls("npm"), w.lines)
	}
}

// TestOnce lets several finders loose on one empty cache. Each opens the lock file anew, as processes do.
func TestOnce(t *testing.T) {
	w := newWorld(t)
	w.client(t, "npm", `sleep 0.5; cp $from/node.tgz $dest`)
	libs, errs := make([]string, 4), make([]error, 4)
	var wg sync.WaitGroup
	for i := range libs {
		wg.Go(func() {
			f := w.finder
			libs[i], errs[i] = f.find(t.Context())
		})
	}
	wg.Wait()
	for i := range libs {
		w.wantLibrary(t, libs[i], errs[i])
	}
	if n := w.calls("npm"); n != 1 {
		t.Errorf("%d calls of npm, want 1", n)
	}
	if !w.logged("another process is fetching") {
		t.Errorf("the wait was not logged: %q", w.lines)
	}
}

func TestCancelClient(t *testing.T) {
	w := newWorld(t)
	w.client(t, "npm", `exec sleep 60`)
	w.client(t, "pip3", `cp $from/ort.whl $dest`)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := w.find(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || w.calls("pip3") > 0 {
		t.Errorf("got %v, %d calls of pip", err, w.calls("pip3"))
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	if got := w.files(t); !slices.Equal(got, []string{"lock"}) {
		t.Errorf("the cache has %v", got)
	}
}

// serve puts a handler in GitHub's place.
func (w *world) serve(t *testing.T, h http.HandlerFunc) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	w.release = s.URL
}
