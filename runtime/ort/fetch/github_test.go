package fetch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mixr/runtime/download"
)

// big makes the release's archive large enough to be cut in the middle and returns it.
func (w *world) big(t *testing.T) []byte {
	t.Helper()
	noise := make([]byte, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(r.Uint32()) // compresses not at all
	}
	archive := tarball("package/lib.so", string(noise))
	p := w.pins[w.platform]
	p.github = source{sum(archive), "ort.tgz", int64(len(archive)), "package/lib.so", ""}
	w.pins[w.platform] = p
	return archive
}

// cut sends the head of an answer and then drops the connection.
func cut(rw http.ResponseWriter, part []byte) {
	rw.Write(part)
	rw.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// from is the first byte that a request asks for.
func from(r *http.Request) (n int) {
	fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &n)
	return n
}

// TestCutConnection drops the connection twice; the third request must ask for the rest only.
func TestCutConnection(t *testing.T) {
	w := newWorld(t)
	archive := w.big(t)
	var starts []int
	w.serve(t, func(rw http.ResponseWriter, r *http.Request) {
		start := from(r)
		starts = append(starts, start)
		rw.Header().Set("Content-Length", fmt.Sprint(len(archive)-start))
		if start > 0 {
			rw.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(archive)-1, len(archive)))
			rw.WriteHeader(http.StatusPartialContent)
		}
		if len(starts) < 3 {
			cut(rw, archive[start:start+300_000])
		}
		rw.Write(archive[start:])
	})
	lib, err := w.find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(starts, []int{0, 300_000, 600_000}) {
		t.Errorf("requests began at %v", starts)
	}
	if got := w.files(t); !slices.Equal(got, []string{"lib.so", "lib.so.sha256", "lock"}) {
		t.Errorf("the cache has %v for %s", got, lib)
	}
	if !w.logged("going on at 0.3 MB") || !w.logged("1.0 MB of 1.0 MB") {
		t.Errorf("progress was not logged: %q", w.lines)
	}
}

// TestResumeLater: a process that was stopped leaves its part, and the next one goes on from there.
func TestResumeLater(t *testing.T) {
	w := newWorld(t)
	archive := w.big(t)
	var hold atomic.Bool
	hold.Store(true)
	var last atomic.Int64
	w.serve(t, func(rw http.ResponseWriter, r *http.Request) {
		last.Store(int64(from(r)))
		if hold.Load() {
			rw.Write(archive[:500_000])
			rw.(http.Flusher).Flush()
			<-r.Context().Done() // until the client gives up
			return
		}
		http.ServeContent(rw, r, "ort.tgz", time.Time{}, strings.NewReader(string(archive)))
	})
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := w.find(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if got := w.files(t); !slices.Equal(got, []string{"lock", "ort.tgz.part"}) {
		t.Errorf("the cache has %v", got)
	}
	hold.Store(false)
	if _, err := w.find(t.Context()); err != nil {
		t.Fatal(err)
	}
	if last.Load() != 500_000 {
		t.Errorf("the second process began at %d", last.Load())
	}
}

func TestStalled(t *testing.T) {
	w := newWorld(t)
	archive := w.big(t)
	w.stall = 100 * time.Millisecond
	var calls atomic.Int32
	w.serve(t, func(rw http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			rw.Write(archive[:1000])
			rw.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		http.ServeContent(rw, r, "ort.tgz", time.Time{}, strings.NewReader(string(archive)))
	})
	if _, err := w.find(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !w.logged("the connection is dead") {
		t.Errorf("log %q", w.lines)
	}
}

// TestServers holds the other ways in which a server can answer. part is what an earlier attempt has left.
func TestServers(t *testing.T) {
	for name, c := range map[string]struct {
		part   string
		answer func(rw http.ResponseWriter, r *http.Request, call int, archive []byte)
		calls  int32
		want   string // in the error; "" for success
	}{
		"no resume": {"garbage of an earlier attempt", func(rw http.ResponseWriter, r *http.Request, call int, archive []byte) {
			rw.Write(archive)
		}, 1, ""},
		"too long a part": {strings.Repeat("x", 2<<20), func(rw http.ResponseWriter, r *http.Request, call int, archive []byte) {
			http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(string(archive)))
		}, 1, ""},
		"wrong range": {"abc", func(rw http.ResponseWriter, r *http.Request, call int, archive []byte) {
			if from(r) > 0 {
				rw.Header().Set("Content-Range", "bytes 7-9/10")
				rw.WriteHeader(http.StatusPartialContent)
				return
			}
			rw.Write(archive)
		}, 2, ""},
		"range refused": {"abc", func(rw http.ResponseWriter, r *http.Request, call int, archive []byte) {
			if from(r) > 0 {
				rw.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
				return
			}
			rw.Write(archive)
		}, 2, ""},
		"busy": {"", func(rw http.ResponseWriter, r *http.Request, call int, archive []byte) {
			if call < 4 {
				rw.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			rw.Write(archive)
		}, 4, ""},
		"always busy": {"", func(rw http.ResponseWriter, r *http.Request, call int, archive []byte) {
			rw.WriteHeader(http.StatusBadGateway)
		}, download.MaxTries, "502"},
		"no resume and always cut": {"", func(rw http.ResponseWriter, r *http.Request, call int, archive []byte) {
			cut(rw, archive[:300_000])
		}, download.MaxTries, "given up"},
		"absent": {"", func(rw http.ResponseWriter, r *http.Request, call int, archive []byte) {
			rw.WriteHeader(http.StatusNotFound)
		}, 1, "404"},
		"wrong content": {"", func(rw http.ResponseWriter, r *http.Request, call int, archive []byte) {
			rw.Write(make([]byte, len(archive)))
		}, 1, "it is not used"},
		"wrong part": {"abc", func(rw http.ResponseWriter, r *http.Request, call int, archive []byte) {
			http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(string(archive)))
		}, 1, "it is not used"},
		"too much": {"", func(rw http.ResponseWriter, r *http.Request, call int, archive []byte) {
			rw.Write(append(archive, 0))
		}, 1, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			archive := w.big(t)
			var calls atomic.Int32
			w.serve(t, func(rw http.ResponseWriter, r *http.Request) {
				c.answer(rw, r, int(calls.Add(1)), slices.Clip(archive))
			})
			if c.part != "" {
				dir, _ := w.cacheDir()
				os.MkdirAll(dir, 0o755)
				if err := os.WriteFile(filepath.Join(dir, "ort.tgz.part"), []byte(c.part), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, err := w.find(t.Context())
			if c.want == "" && err != nil {
				t.Errorf("got %v", err)
			} else if c.want != "" {
				wantError(t, err, c.want)
				for _, name := range w.files(t) {
					if strings.HasPrefix(name, "lib.so") {
						t.Errorf("there is a %s", name)
					}
				}
			}
			if calls.Load() != c.calls {
				t.Errorf("%d requests, want %d", calls.Load(), c.calls)
			}
		})
	}
}
