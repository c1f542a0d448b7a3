// Package fetch finds the shared library of ONNX Runtime and downloads it if it is nowhere.
//
// In go the machine's settings, out comes the path of a library. Looked at in this order: the path that the user has set;
// mixr's cache folder; then the pinned release through the machine's npm client, through its pip client, and from the
// project's own GitHub release. A library from outside is used only if its checksum is the pinned one, and it appears in
// the cache whole or not at all. What is fetched and why goes to Options.Log.
//
// It never runs an install script, never loads the library (package ort does) and never writes outside the cache folder;
// the clients of the package registries keep caches of their own. Two processes do not fetch at the same time. Errors say
// what each way failed with and what the user can do.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Options are machine settings; the zero value looks in the user's cache folder and is silent.
type Options struct {
	// Lib is a library that the user insists on (setting MIXR_ORT_LIB). If it is set nothing else is tried, and its
	// version and checksum are the user's business. "" looks further.
	Lib string
	// CacheDir is where fetched libraries are kept (setting MIXR_CACHE_DIR); "" is the folder mixr in the user's cache
	// folder, on Linux ~/.cache/mixr.
	CacheDir string
	// Log receives one line at a time; nil drops them. It is called from one goroutine at a time.
	Log func(line string)
}

// Find returns the path of a library, fetching it if it must. Cancelling ctx stops a download; what it has fetched is
// kept where the next call can go on from it.
func Find(ctx context.Context, o Options) (string, error) {
	f := newFinder(o)
	lib, err := f.find(ctx)
	if err != nil {
		return "", fmt.Errorf("fetch: %w", err)
	}
	return lib, nil
}

// finder is Find with what tests replace.
type finder struct {
	options  Options
	platform string
	pins     map[string]pin
	release  string        // the folder of the GitHub release's files
	client   *http.Client  // for GitHub
	pause    time.Duration // before the first retry of a download, doubled for each further one
	stall    time.Duration // how long a connection may bring nothing before it is taken for dead
}

func (f *finder) find(ctx context.Context) (string, error) {
	lib, here, err := f.look()
	if err != nil || here {
		return lib, err
	}
	p, dir := f.pins[f.platform], filepath.Dir(lib)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock := flock.New(filepath.Join(dir, lockFile))
	if ok, err := lock.TryLock(); err == nil && !ok {
		f.log("another process is fetching ONNX Runtime, waiting for it")
	}
	if _, err := lock.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Path(), err)
	}
	defer lock.Unlock()
	if f.cached(lib) { // by the process that had the lock
		return lib, nil
	}
	if err := sweep(dir); err != nil {
		return "", err
	}
	if err := f.fetch(ctx, p, lib); err != nil {
		return "", err
	}
	return lib, nil
}

// sweep removes what a killed process has left, but for partial downloads. The caller holds the lock.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == lockFile || strings.HasSuffix(e.Name(), partial) {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

const (
	lockFile = "lock"
	partial  = ".part" // suffix of a download that is not complete
)

// cacheDir is the folder of the pinned version for this platform.
func (f *finder) cacheDir() (string, error) {
	root := f.options.CacheDir
	if root == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("no cache folder: %w (hint: set MIXR_CACHE_DIR)", err)
		}
		root = filepath.Join(user, "mixr")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	return filepath.Join(root, "onnxruntime", Version+"-"+strings.ReplaceAll(f.platform, "/", "-")), nil
}

// cached reports whether a library is there with the checksum that it was installed with. It reads the whole file, some
// 50 ms, so that a damaged library is fetched again instead of crashing the process that loads it.
func (f *finder) cached(lib string) bool {
	want, err := os.ReadFile(sumFile(lib))
	if err != nil {
		return false
	}
	got, err := Sum(lib)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			f.log("cannot read %s: %v", lib, err)
		}
		return false
	}
	if sumLine(got, lib) != string(want) {
		f.log("%s is damaged: its checksum is %s", lib, got)
		return false
	}
	return true
}

// fetch tries the channels in turn until one has put the library at lib.
func (f *finder) fetch(ctx context.Context, p pin, lib string) error {
	f.log("ONNX Runtime %s for %s is not in %s, fetching it", Version, f.platform, filepath.Dir(lib))
	var failed []error
	for _, c := range []struct {
		name  string
		fetch func(context.Context, pin, string) error
	}{{"npm", f.npm}, {"pip", f.pip}, {"GitHub", f.github}} {
		start := time.Now()
		err := c.fetch(ctx, p, lib)
		if ctx.Err() != nil {
			return fmt.Errorf("fetching ONNX Runtime %s by %s: %w", Version, c.name, ctx.Err())
		}
		if err == nil {
			f.log("ONNX Runtime %s is at %s after %.1f s, by %s", Version, lib, time.Since(start).Seconds(), c.name)
			return nil
		}
		f.log("%s: %v", c.name, err)
		failed = append(failed, fmt.Errorf("%s: %w", c.name, err))
	}
	return fmt.Errorf("ONNX Runtime %s for %s could not be had:\n%w\n(hint: install npm or pip, or get a libonnxruntime of version 1.24 or later by hand and set MIXR_ORT_LIB to it)",
		Version, f.platform, errors.Join(failed...))
}

func (f *finder) log(format string, args ...any) {
	if f.options.Log != nil {
		f.options.Log(fmt.Sprintf(format, args...))
	}
}
