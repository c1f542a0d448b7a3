package hub

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// killVariable tells the child process of the tests below which hub and which cache to use: ENDPOINT CACHE.
const killVariable = "MIXR_HUB_TEST_CHILD"

// child starts a process that fetches the model.
func child(t *testing.T, h *fakeHub, cache string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.v")
	cmd.Env = append(os.Environ(), killVariable+"="+h.hub.URL+" "+cache)
	out := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// TestChild is what the child processes do.
func TestChild(t *testing.T) {
	endpoint, cache, ok := strings.Cut(os.Getenv(killVariable), " ")
	if !ok {
		t.Skip("is for the child processes of other tests")
	}
	c, err := New(Options{Endpoint: endpoint, Cache: cache, Log: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	folder, _, err := c.Fetch(t.Context(), mustParse(t, "hf:ORG/NAME"), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantModel(t, folder, model())
}

// TestKilled kills a process in the middle of a download. The lock ends with it, no file is half there, and the next process
// goes on at the byte where it was.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes")
	}
	h := newHub(t)
	content := h.commits[commitA][shard]
	const sent = 600_000
	reached := make(chan struct{})
	starts := make(chan int, 10)
	h.disturb(func(rw http.ResponseWriter, r *http.Request, call int) bool {
		if r.URL.Path != "/"+etagOf(content) {
			return false
		}
		starts <- rangeOf(r)
		if call > 1 {
			return false
		}
		rw.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = rw.Write([]byte(content[:sent]))
		_ = http.NewResponseController(rw).Flush()
		close(reached)
		<-r.Context().Done()
		return true
	})
	cache := t.TempDir()
	blob := filepath.Join(cache, "models--ORG--NAME/blobs", etagOf(content))
	cmd, out := child(t, h, cache)
	<-reached
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if st, err := os.Stat(blob + ".incomplete"); err == nil && st.Size() == sent {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the child wrote nothing:\n%s", out)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if _, err := os.Stat(blob); err == nil {
		t.Error("a half file is a blob")
	}
	u := h.user(t, cache)
	if held, err := u.Look(mustParse(t, "hf:ORG/NAME"), nil); err != nil || held.Commit != "" {
		t.Errorf("main already stands for a commit that is not there: %+v, %v", held, err)
	}
	if held, err := u.Look(mustParse(t, "hf:ORG/NAME@"+commitA), nil); err != nil || held.Complete() || len(held.Missing) == 0 {
		t.Errorf("held %+v, %v", held, err)
	}
	folder, _, err := u.Fetch(t.Context(), mustParse(t, "hf:ORG/NAME"), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantModel(t, folder, h.commits[commitA])
	if first, second := <-starts, <-starts; first != 0 || second != sent {
		t.Errorf("the requests began at %d and %d", first, second)
	}
	if u.logged("under way") {
		t.Error("the dead process held its lock")
	}
}

// TestProcesses lets two processes fetch at once: each content is downloaded once.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	h := newHub(t)
	both := make(chan struct{}, 2)
	h.disturb(func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		switch {
		case strings.HasPrefix(r.URL.Path, "/api/"):
			both <- struct{}{}
		case r.URL.Path == "/"+etagOf(h.commits[commitA][shard]):
			for deadline := time.Now().Add(20 * time.Second); len(both) < 2 && time.Now().Before(deadline); {
				time.Sleep(10 * time.Millisecond) // until the other process is there as well
			}
			time.Sleep(300 * time.Millisecond) // and waits for this file
		}
		return false
	})
	cache := t.TempDir()
	a, outA := child(t, h, cache)
	b, outB := child(t, h, cache)
	if err := a.Wait(); err != nil {
		t.Errorf("%v\n%s", err, outA)
	}
	if err := b.Wait(); err != nil {
		t.Errorf("%v\n%s", err, outB)
	}
	for _, name := range wantedOfModel {
		if got := h.count("GET /ORG/NAME/resolve/" + commitA + "/" + name); got != 1 {
			t.Errorf("%s: downloaded %d times", name, got)
		}
	}
}
