package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mixr/runtime/download"
)

// shard is the file of the model that these tests disturb on its way from the storage.
const shard = "model-00001-of-00002.safetensors"

// rangeOf is the first byte that a request asks for.
func rangeOf(r *http.Request) (n int) {
	_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &n)
	return n
}

// cut sends a part of an answer and then drops the connection.
func cut(rw http.ResponseWriter, length int, part string) {
	rw.Header().Set("Content-Length", fmt.Sprint(length))
	_, _ = rw.Write([]byte(part))
	_ = http.NewResponseController(rw).Flush()
	panic(http.ErrAbortHandler)
}

// TestServers holds the ways in which the storage can deliver a file. part is what an earlier process has left of it.
func TestServers(t *testing.T) {
	content := model()[shard]
	partial := func(rw http.ResponseWriter, start int) {
		rw.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", start, len(content)-1, len(content)))
	}
	for name, test := range map[string]struct {
		part   string
		answer func(rw http.ResponseWriter, r *http.Request, call int) bool // false: as it should
		starts []int                                                        // first bytes of the requests
		want   string                                                       // in the error; "" for success
	}{
		"cut twice": {"", func(rw http.ResponseWriter, r *http.Request, call int) bool {
			if start := rangeOf(r); call < 3 {
				if start > 0 {
					partial(rw, start)
					rw.Header().Set("Content-Length", fmt.Sprint(len(content)-start))
					rw.WriteHeader(http.StatusPartialContent)
				}
				cut(rw, len(content)-start, content[start:start+300_000])
			}
			return false
		}, []int{0, 300_000, 600_000}, ""},
		"goes on": {content[:500_000], nil, []int{500_000}, ""},
		"no resume": {content[:500_000], func(rw http.ResponseWriter, r *http.Request, call int) bool {
			_, _ = rw.Write([]byte(content))
			return true
		}, []int{500_000}, ""},
		"no resume and always cut": {"", func(rw http.ResponseWriter, r *http.Request, call int) bool {
			cut(rw, len(content), content[:300_000])
			return true
		}, []int{0, 300_000, 300_000, 300_000, 300_000}, "given up after 5 tries"},
		"complete part":         {content, nil, nil, ""},
		"damaged part":          {"damaged" + content[7:500_000], nil, []int{500_000, 0}, ""},
		"damaged complete part": {"damaged" + content[7:], nil, []int{0}, ""},
		"part of a larger file": {content + "more", nil, []int{0}, ""},
		"stalled": {"", func(rw http.ResponseWriter, r *http.Request, call int) bool {
			if call > 1 {
				return false
			}
			rw.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = rw.Write([]byte(content[:1000]))
			_ = http.NewResponseController(rw).Flush()
			<-r.Context().Done()
			return true
		}, []int{0, 1000}, ""},
		"wrong range": {"abc", func(rw http.ResponseWriter, r *http.Request, call int) bool {
			if rangeOf(r) == 0 {
				return false
			}
			rw.Header().Set("Content-Range", "bytes 7-9/10")
			rw.WriteHeader(http.StatusPartialContent)
			return true
		}, []int{3, 0}, ""},
		"range refused": {"abc", func(rw http.ResponseWriter, r *http.Request, call int) bool {
			if rangeOf(r) == 0 {
				return false
			}
			rw.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return true
		}, []int{3, 0}, ""},
		"busy": {"", func(rw http.ResponseWriter, r *http.Request, call int) bool {
			if call < 4 {
				rw.WriteHeader([]int{503, 429, 403}[call-1]) // a storage's 403: the link is too old
			}
			return call < 4
		}, []int{0, 0, 0, 0}, ""},
		"always busy": {"", func(rw http.ResponseWriter, r *http.Request, call int) bool {
			rw.WriteHeader(http.StatusBadGateway)
			return true
		}, []int{0, 0, 0, 0, 0}, "given up after 5 tries: 502 Bad Gateway from 127.0.0.1:"},
		"waits too long": {"", func(rw http.ResponseWriter, r *http.Request, call int) bool {
			rw.Header().Set("Retry-After", "3600")
			rw.WriteHeader(http.StatusServiceUnavailable)
			return true
		}, []int{0}, "to be asked again in 1h0m0s"},
		"wrong content": {"", func(rw http.ResponseWriter, r *http.Request, call int) bool {
			_, _ = rw.Write(make([]byte, len(content)))
			return true
		}, []int{0}, "is damaged: its hash is"},
		"too much": {"", func(rw http.ResponseWriter, r *http.Request, call int) bool {
			_, _ = rw.Write([]byte(content + "x"))
			return true
		}, []int{0}, "larger than the 1048576 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t)
			var mu sync.Mutex
			var starts []int
			h.disturb(func(rw http.ResponseWriter, r *http.Request, call int) bool {
				if r.URL.Path != "/"+etagOf(content) {
					return false
				}
				mu.Lock()
				starts = append(starts, rangeOf(r))
				mu.Unlock()
				return test.answer != nil && test.answer(rw, r, call)
			})
			u := h.user(t, t.TempDir())
			if name == "stalled" {
				u.stall = 200 * time.Millisecond
			}
			blob := filepath.Join(u.options.Cache, "models--ORG--NAME/blobs", etagOf(content))
			if test.part != "" {
				put(t, blob+".incomplete", test.part)
			}
			folder, _, err := u.Fetch(t.Context(), mustParse(t, "hf:ORG/NAME"), nil)
			if !slices.Equal(starts, test.starts) {
				t.Errorf("requests began at %v, want %v", starts, test.starts)
			}
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				wantModel(t, folder, h.commits[commitA])
				return
			}
			wantError(t, err, shard, test.want)
			if _, err := os.Stat(blob); err == nil {
				t.Error("there is a blob")
			}
		})
	}
}

// A small file is checked by git's hash.
func TestSmallFileDamaged(t *testing.T) {
	h := newHub(t)
	h.disturb(func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method != "GET" || !strings.HasSuffix(r.URL.Path, "/config.json") {
			return false
		}
		_, _ = rw.Write([]byte("{]\n"))
		return true
	})
	u := h.user(t, t.TempDir())
	_, _, err := u.Fetch(t.Context(), mustParse(t, "hf:ORG/NAME"), nil)
	wantError(t, err, "config.json is damaged: its hash is", "want "+etagOf("{}\n"))
	if left, _ := filepath.Glob(filepath.Join(u.options.Cache, "models--ORG--NAME/blobs", etagOf("{}\n")+"*")); len(left) != 0 {
		t.Errorf("left %q", left)
	}
}

// A hub that states no size is believed by its hash.
func TestNoSize(t *testing.T) {
	h := newHub(t)
	h.disturb(func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method != "HEAD" || !strings.HasSuffix(r.URL.Path, shard) {
			return false
		}
		rw.Header().Set("X-Linked-Etag", etagOf(h.commits[commitA][shard]))
		http.Redirect(rw, r, h.storage.URL, http.StatusFound)
		return true
	})
	u := h.user(t, t.TempDir())
	folder, _, err := u.Fetch(t.Context(), mustParse(t, "hf:ORG/NAME"), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantModel(t, folder, h.commits[commitA])
}

// Cancelling keeps what has come, and the next call goes on there.
func TestCancelled(t *testing.T) {
	h := newHub(t)
	content := h.commits[commitA][shard]
	var hold atomic.Bool
	var start atomic.Int64
	hold.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	h.disturb(func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path != "/"+etagOf(content) {
			return false
		}
		start.Store(int64(rangeOf(r)))
		if hold.Load() {
			rw.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = rw.Write([]byte(content[:500_000]))
			_ = http.NewResponseController(rw).Flush()
			<-r.Context().Done()
		}
		return hold.Load()
	})
	u := h.user(t, t.TempDir())
	u.options.Progress = func(file string, done, _ int64) {
		if file == shard && done >= download.TellEvery {
			cancel()
		}
	}
	if _, _, err := u.Fetch(ctx, mustParse(t, "hf:ORG/NAME"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	hold.Store(false)
	folder, _, err := u.Fetch(t.Context(), mustParse(t, "hf:ORG/NAME"), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantModel(t, folder, h.commits[commitA])
	if start.Load() < download.TellEvery {
		t.Errorf("the second call began at %d", start.Load())
	}
}

// Several clients on one cache fetch each content once.
func TestShared(t *testing.T) {
	h := newHub(t)
	content := h.commits[commitA]
	h.disturb(func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Method == "GET" && r.URL.Path == "/"+etagOf(content[shard]) {
			time.Sleep(300 * time.Millisecond) // long enough for the others to come and wait
		}
		return false
	})
	cache := t.TempDir()
	var users [3]*user
	var wait sync.WaitGroup
	for i := range users {
		users[i] = h.user(t, cache)
		wait.Go(func() {
			folder, _, err := users[i].Fetch(t.Context(), mustParse(t, "hf:ORG/NAME"), nil)
			if err != nil {
				t.Error(err)
				return
			}
			wantModel(t, folder, content)
		})
	}
	wait.Wait()
	for _, name := range wantedOfModel {
		at := "GET /ORG/NAME/resolve/" + commitA + "/" + name
		if got := h.count(at); got != 1 {
			t.Errorf("%s: downloaded %d times", name, got)
		}
	}
	if !slices.ContainsFunc(users[:], func(u *user) bool { return u.logged("another download of it is under way") }) {
		t.Error("nobody waited")
	}
}
