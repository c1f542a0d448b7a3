package hub

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
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

// commitA and commitB are revisions of the test's repository.
const (
	commitA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	commitB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// fakeHub answers as the hub does: small files itself, large ones (LFS) by a redirect to a storage on another host.
type fakeHub struct {
	mu       sync.Mutex
	commits  map[string]map[string]string // commit -> file -> content
	refs     map[string]string            // branch -> commit
	token    string                       // that it wants; "" wants none
	listed   []string                     // further names in the list of files
	requests []string                     // METHOD path, of both hosts
	leaked   []string                     // requests at the storage that brought a token
	// fault may answer in place of both hosts, and then returns true. call counts the requests of this method and path from 1.
	fault func(rw http.ResponseWriter, r *http.Request, call int) bool

	hub, storage *httptest.Server
}

// weight is a file that is large enough to be cut in the middle.
func weight(seed uint64) string {
	b := make([]byte, 1<<20)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// model is what a small repository holds.
func model() map[string]string {
	return map[string]string{
		".gitattributes":                   "*.safetensors filter=lfs\n",
		"README.md":                        "# model\n",
		"config.json":                      "{}\n",
		"model-00001-of-00002.safetensors": weight(1),
		"model-00002-of-00002.safetensors": weight(2),
		"model.safetensors.index.json": `{"weight_map": {"a": "model-00001-of-00002.safetensors",
			"b": "model-00002-of-00002.safetensors"}}`,
		"original/params.json": "{}",
		"pytorch_model.bin":    "a pickle",
		"tokenizer.json":       "{\"version\": \"1.0\"}",
	}
}

// wantedOfModel are the files of model that ModelFiles chooses.
var wantedOfModel = []string{"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
	"model.safetensors.index.json", "tokenizer.json"}

func newHub(t *testing.T) *fakeHub {
	t.Helper()
	h := &fakeHub{commits: map[string]map[string]string{commitA: model()}, refs: map[string]string{"main": commitA, "refs/pr/1": commitA}}
	h.mu.Lock() // for requests of other processes, of which the race detector knows no order
	defer h.mu.Unlock()
	h.hub = httptest.NewServer(h.guard(h.serveHub))
	h.storage = httptest.NewServer(h.guard(h.serveStorage))
	t.Cleanup(h.hub.Close)
	t.Cleanup(h.storage.Close)
	return h
}

func (h *fakeHub) guard(serve http.HandlerFunc) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		line := r.Method + " " + r.URL.EscapedPath()
		h.requests = append(h.requests, line)
		call := 0
		for _, l := range h.requests {
			if l == line {
				call++
			}
		}
		fault := h.fault
		if r.Host == h.storage.Listener.Addr().String() && r.Header.Get("Authorization") != "" {
			h.leaked = append(h.leaked, line)
		}
		h.mu.Unlock()
		if fault == nil || !fault(rw, r, call) {
			serve(rw, r)
		}
	}
}

func refuse(rw http.ResponseWriter, status int, code, message string) {
	rw.Header().Set("X-Error-Code", code)
	rw.Header().Set("X-Error-Message", message)
	rw.WriteHeader(status)
}

func (h *fakeHub) serveHub(rw http.ResponseWriter, r *http.Request) {
	if h.token != "" && r.Header.Get("Authorization") != "Bearer "+h.token {
		refuse(rw, 401, "", "Invalid username or password.")
		return
	}
	rest, api := strings.CutPrefix(r.URL.Path, "/api/models/ORG/NAME/revision/")
	if api {
		commit := h.refs[rest]
		if commit == "" {
			commit = rest
		}
		files, ok := h.commits[commit]
		if !ok {
			refuse(rw, 404, "RevisionNotFound", "Invalid rev id: "+rest)
			return
		}
		var siblings []map[string]string
		for name := range files {
			siblings = append(siblings, map[string]string{"rfilename": name})
		}
		for _, name := range h.listed {
			siblings = append(siblings, map[string]string{"rfilename": name})
		}
		_ = json.NewEncoder(rw).Encode(map[string]any{"id": "ORG/NAME", "sha": commit, "siblings": siblings})
		return
	}
	rest, resolve := strings.CutPrefix(r.URL.Path, "/ORG/NAME/resolve/")
	commit, file, _ := strings.Cut(rest, "/")
	if c, ok := h.refs[commit]; ok {
		commit = c
	}
	content, ok := h.commits[commit][file]
	if !resolve || !ok {
		refuse(rw, 404, "EntryNotFound", "Entry not found")
		return
	}
	rw.Header().Set("X-Repo-Commit", commit)
	if len(content) < 1<<20 {
		rw.Header().Set("ETag", `"`+etagOf(content)+`"`)
		http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(content))
		return
	}
	rw.Header().Set("X-Linked-Etag", `"`+etagOf(content)+`"`)
	rw.Header().Set("X-Linked-Size", fmt.Sprint(len(content)))
	http.Redirect(rw, r, h.storage.URL+"/"+etagOf(content)+"?signature=secret", http.StatusFound)
}

func (h *fakeHub) serveStorage(rw http.ResponseWriter, r *http.Request) {
	for _, files := range h.commits {
		for _, content := range files {
			if etagOf(content) == r.URL.Path[1:] {
				rw.Header().Set("ETag", `"of the storage, not of the hub"`)
				http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(content))
				return
			}
		}
	}
	rw.WriteHeader(http.StatusForbidden)
}

// etagOf is the hub's name for a content: git's for small ones.
func etagOf(content string) string {
	if len(content) < 1<<20 {
		sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content))
		return hex.EncodeToString(sum[:])
	}
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// disturb sets the fault.
func (h *fakeHub) disturb(fault func(rw http.ResponseWriter, r *http.Request, call int) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = fault
}

func (h *fakeHub) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requests = nil
}

// count is how many requests began with prefix.
func (h *fakeHub) count(prefix string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

// user is a client of a test with what it was told.
type user struct {
	*Client
	lines []string // of the log; read it when no call is under way
}

func (h *fakeHub) user(t *testing.T, cache string, change ...func(*Options)) *user {
	t.Helper()
	u := &user{}
	o := Options{Endpoint: h.hub.URL, Cache: cache, Log: func(line string) { u.lines = append(u.lines, line) }}
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	c.pause, c.stall = time.Millisecond, 10*time.Second
	u.Client = c
	return u
}

func (u *user) logged(part string) bool {
	return slices.ContainsFunc(u.lines, func(l string) bool { return strings.Contains(l, part) })
}

func mustParse(t *testing.T, ref string) Ref {
	t.Helper()
	r, err := Parse(ref)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tree lists a folder: path for a file, path -> target for a link.
func tree(t *testing.T, root string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(at string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(root, at)
		if target, err := os.Readlink(at); err == nil {
			name += " -> " + target
		}
		out = append(out, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// wantModel expects the wanted files of the repository in a snapshot, with their content.
func wantModel(t *testing.T, folder string, content map[string]string) {
	t.Helper()
	for _, name := range wantedOfModel {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || string(got) != content[name] {
			t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(content[name]), err)
		}
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %q\nwant %q in it", err, part)
		}
	}
}
