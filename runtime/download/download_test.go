package download

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bring downloads what serve hands out, of size bytes, onto a part that an earlier process left.
func bring(t *testing.T, part string, size int64, serve http.HandlerFunc) (got string, told []int64, err error) {
	t.Helper()
	server := httptest.NewServer(serve)
	defer server.Close()
	c := &Client{Pause: time.Millisecond, Stall: 10 * time.Second, Log: t.Logf}
	path := filepath.Join(t.TempDir(), "part")
	if err := os.WriteFile(path, []byte(part), 0o644); err != nil {
		t.Fatal(err)
	}
	err = c.File(t.Context(), File{Name: "x", Part: path, Size: size,
		Ask: func(ctx context.Context, header http.Header) (*http.Response, error) {
			return c.Do(ctx, server.Client(), http.MethodGet, server.URL, header)
		},
		Tell: func(done int64) { told = append(told, done) },
	})
	text, readErr := os.ReadFile(path)
	if readErr != nil {
		t.Fatal(readErr)
	}
	return string(text), told, err
}

// The other ways in which servers fail are in the tests of the packages that download: hub and ort/fetch.
func TestFile(t *testing.T) {
	content := strings.Repeat("0123456789", 100_000)
	whole := func(rw http.ResponseWriter, r *http.Request) {
		http.ServeContent(rw, r, "", time.Time{}, strings.NewReader(content))
	}
	for name, part := range map[string]string{"from the start": "", "from a part": content[:400_001], "from another file": content + "more"} {
		got, told, err := bring(t, part, int64(len(content)), whole)
		if err != nil || got != content {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if n := len(told); n < 2 || told[n-1] != int64(len(content)) {
			t.Errorf("%s: told %v", name, told)
		}
	}

	// Without a size a cut is noticed by the answer's own length, and what came is kept.
	calls := 0
	got, _, err := bring(t, "", -1, func(rw http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			rw.Header().Set("Content-Length", fmt.Sprint(len(content)))
			_, _ = rw.Write([]byte(content[:5000]))
			return
		}
		if r.Header.Get("Range") != "bytes=5000-" {
			t.Errorf("the second request asks for %q", r.Header.Get("Range"))
		}
		whole(rw, r)
	})
	if err != nil || got != content || calls != 2 {
		t.Errorf("%d bytes after %d requests, %v", len(got), calls, err)
	}
}

func TestRetry(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		err   error
		tries int
		up    bool // whether it was given up
	}{
		"for good":  {broken, 1, false},
		"passing":   {fmt.Errorf("of some kind: %w", Passing{Err: broken}), MaxTries, true},
		"too late":  {Passing{Err: broken, After: time.Hour}, 1, true},
		"succeeded": {nil, 1, false},
	} {
		c, tries := &Client{Pause: time.Microsecond, Log: t.Logf}, 0
		err := c.Retry(t.Context(), "x", func() (bool, error) { tries++; return false, test.err })
		if tries != test.tries || errors.Is(err, ErrGivenUp) != test.up || errors.Is(err, broken) != (test.err != nil) {
			t.Errorf("%s: %d tries, %v", name, tries, err)
		}
	}
}
