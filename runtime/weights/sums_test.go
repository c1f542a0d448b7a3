package weights

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// large writes a file of which the sum is worth knowing.
func large(t *testing.T, path, text string) (sum string) {
	t.Helper()
	content := append([]byte(text), make([]byte, worthKnowing)...)
	check(t, os.WriteFile(path, content, 0o644))
	s := sha256.Sum256(content)
	return hex.EncodeToString(s[:])
}

// hasty is a cache that remembers files which have just changed.
func hasty(path string) *SumCache {
	c := NewSumCache(path)
	c.settled = 0
	return c
}

// forge makes a cache say something that is wrong of every file that it knows: whoever says it too has not read the file.
func forge(t *testing.T, cache, sum string) (wrong string) {
	t.Helper()
	wrong = strings.Repeat("0", 64)
	var out []string
	for line := range strings.Lines(string(must(os.ReadFile(cache)))) {
		if key, old, ok := parseSum(strings.TrimSuffix(line, "\n")); ok && old == sum {
			out = append(out, formatSum(key, wrong)+"\n")
		}
	}
	if len(out) == 0 {
		t.Fatal("the cache does not know the file")
	}
	check(t, os.WriteFile(cache, []byte(strings.Join(out, "")), 0o644))
	return wrong
}

func wantSum(t *testing.T, c *SumCache, path, want string) {
	t.Helper()
	if got, err := c.HashFile(path); err != nil || got != want {
		t.Errorf("%s: got %.12s, %v, want %.12s", path, got, err, want)
	}
	if c != nil {
		check(t, c.Err())
	}
}

func TestSumCache(t *testing.T) {
	dir := t.TempDir()
	path, cache := filepath.Join(dir, "w"), filepath.Join(dir, "cache", "sums")
	sum := large(t, path, "first")
	wantSum(t, hasty(cache), path, sum)
	wantSum(t, nil, path, sum)
	wrong := forge(t, cache, sum)
	wantSum(t, hasty(cache), path, wrong) // taken from the cache

	// The same size and time of modification, but not of change.
	time.Sleep(20 * time.Millisecond) // longer than a tick of the clocks of current file systems
	st := must(os.Stat(path))
	content := must(os.ReadFile(path))
	content[0] = 'F'
	check(t, os.WriteFile(path, content, 0o644))
	check(t, os.Chtimes(path, time.Time{}, st.ModTime()))
	other := must(HashFile(path))
	if other == sum {
		t.Fatal("the file did not change")
	}
	c := NewSumCache(cache)
	wantSum(t, c, path, other)
	// It has just changed, and so is not remembered: it may change again before the clock of its file system ticks.
	if lines := bytes.Count(must(os.ReadFile(cache)), []byte("sum1")); lines != 1 {
		t.Errorf("%d sums, want 1", lines)
	}
	wantSum(t, hasty(cache), path, other)
	if lines := bytes.Count(must(os.ReadFile(cache)), []byte("sum1")); lines != 2 {
		t.Errorf("%d sums, want 2", lines)
	}

	small := filepath.Join(dir, "small")
	check(t, os.WriteFile(small, []byte("x"), 0o644))
	wantSum(t, c, small, must(HashFile(small)))
	_, err := c.HashFile(filepath.Join(dir, "absent"))
	wantError(t, err, "absent", "no such file")
}

// TestSumCacheDamaged: lines that were cut, joined or changed are passed over; a line after them counts.
func TestSumCacheDamaged(t *testing.T) {
	dir := t.TempDir()
	path, cache := filepath.Join(dir, "w"), filepath.Join(dir, "sums")
	sum := large(t, path, "text")
	key, _, err := identify(path)
	check(t, err)
	wrong := strings.Repeat("0", 64)
	good := formatSum(key, wrong)
	for name, text := range map[string]string{
		"empty":         "",
		"torn":          good[:len(good)-1],
		"torn early":    good[:20],
		"two in one":    good + good + "\n",
		"other digit":   strings.Replace(good, " sum1 0", " sum1 1", 1) + "\n",
		"other version": strings.Replace(good, " sum1 ", " sum2 ", 1) + "\n",
		"no sum":        formatSum(key, "none") + "\n",
		"binary":        "\x00\xff\x00" + strings.Repeat("\x80", 1<<17),
	} {
		check(t, os.WriteFile(cache, []byte(text), 0o644))
		wantSum(t, hasty(cache), path, sum)
		if got := string(must(os.ReadFile(cache))); !strings.HasPrefix(got, text) || !strings.Contains(got, sum) {
			t.Errorf("%s: not appended", name)
		}
		wrong := forge(t, cache, sum)
		wantSum(t, hasty(cache), path, wrong)
	}
}

// TestSumCacheShared: two caches of one file, as two processes have them, learn from each other and lose no line.
func TestSumCacheShared(t *testing.T) {
	dir := t.TempDir()
	cache := filepath.Join(dir, "sums")
	a, b := hasty(cache), hasty(cache)
	var paths, sums []string
	for i := range 20 {
		paths = append(paths, filepath.Join(dir, fmt.Sprint("w", i)))
		sums = append(sums, large(t, paths[i], fmt.Sprint(i)))
	}
	var group sync.WaitGroup
	for i, path := range paths {
		c := []*SumCache{a, b}[i%2]
		group.Go(func() { wantSum(t, c, path, sums[i]) })
	}
	group.Wait()
	for i, path := range paths {
		key, _, err := identify(path)
		check(t, err)
		for _, c := range []*SumCache{a, b} {
			if got := c.lookUp(key); got != sums[i] {
				t.Errorf("%s: %.12s, want %.12s", path, got, sums[i])
			}
		}
	}
}

// TestSumCacheFails: a cache that can be neither read nor written says so and returns what is right.
func TestSumCacheFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "w")
	sum := large(t, path, "text")
	for _, cache := range []string{dir, filepath.Join(path, "sums")} { // a folder; below a file
		c := hasty(cache)
		if got, err := c.HashFile(path); err != nil || got != sum {
			t.Errorf("got %.12s, %v", got, err)
		}
		wantError(t, c.Err(), "weights: cache of sums", cache)
	}
}

// TestBlob: a link to a blob of the Hugging Face cache has the sum of its name, whatever stands in it.
func TestBlob(t *testing.T) {
	repo := filepath.Join(t.TempDir(), "models--o--n")
	snapshot := filepath.Join(repo, "snapshots", "c0ffee")
	check(t, os.MkdirAll(snapshot, 0o755))
	check(t, os.MkdirAll(filepath.Join(repo, "blobs"), 0o755))
	check(t, os.MkdirAll(filepath.Join(repo, "other"), 0o755))
	c := hasty(filepath.Join(repo, "sums"))
	link := func(name, folder, blob string) (path, sum string) {
		content := []byte(name)
		check(t, os.WriteFile(filepath.Join(repo, folder, blob), content, 0o644))
		path = filepath.Join(snapshot, name)
		check(t, os.Symlink(filepath.Join("..", "..", folder, blob), path))
		return path, must(HashFile(path))
	}
	hash := strings.Repeat("0a", 32)
	path, sum := link("model.safetensors", "blobs", hash)
	wantSum(t, c, path, hash)
	wantSum(t, nil, path, sum)
	for name, blob := range map[string][2]string{
		"config.json": {"blobs", hash[:40]},
		"upper":       {"blobs", strings.ToUpper(hash)},
		"elsewhere":   {"other", hash},
		"unfinished":  {"blobs", hash + ".incomplete"},
	} {
		path, sum := link(name, blob[0], blob[1])
		wantSum(t, c, path, sum)
	}
	check(t, os.Remove(filepath.Join(repo, "blobs", hash)))
	_, err := c.HashFile(path)
	wantError(t, err, "no such file")

	// The blob's name enters the hash of the folder.
	check(t, os.WriteFile(filepath.Join(repo, "blobs", hash), nil, 0o644))
	all := sha256.Sum256([]byte(hash + "  model.safetensors\n"))
	if got := must(c.Hash(snapshot)); got != hex.EncodeToString(all[:]) {
		t.Errorf("hash %s", got)
	}
}

// TestHashSharded compares with the definition, for the files of several shards.
func TestHashSharded(t *testing.T) {
	dir := t.TempDir()
	check(t, WriteSharded(dir, seven(), "F32", 1, nil))
	all := sha256.New()
	for _, name := range names(t, dir)[:7] {
		fmt.Fprintf(all, "%x  %s\n", sha256.Sum256(must(os.ReadFile(filepath.Join(dir, name)))), name)
	}
	want := hex.EncodeToString(all.Sum(nil))
	if a, b := must((*SumCache)(nil).Hash(dir)), must(hasty(filepath.Join(dir, "sums")).Hash(dir)); a != want || b != want {
		t.Errorf("got %s and %s, want %s", a, b, want)
	}
	check(t, os.Remove(filepath.Join(dir, "model-00003-of-00007.safetensors")))
	_, err := (*SumCache)(nil).Hash(dir)
	wantError(t, err, "model-00003-of-00007.safetensors, which is missing")
}
