package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"mixr/runtime/download"
)

// errDamaged marks content that does not have the hash that it should.
var errDamaged = errors.New("damaged")

// get brings a blob into the cache. Only one process at a time works on a blob.
func (c *Client) get(ctx context.Context, r repo, id, commit string, b blob) error {
	lock, err := c.lock(ctx, r, b)
	if err != nil {
		return err
	}
	defer lock.Close()
	if r.hasBlob(b) {
		return nil
	}
	part := r.part(b.etag)
	st, err := os.Stat(part)
	old := err == nil && st.Size() > 0
	err = c.download(ctx, c.resolve(id, commit, b.file), part, b)
	if errors.Is(err, errDamaged) && old {
		c.log("%s: what an earlier download has left was damaged, starting over", b.file)
		err = c.download(ctx, c.resolve(id, commit, b.file), part, b)
	}
	if err != nil {
		return err
	}
	return os.Rename(part, r.blob(b.etag))
}

// lock waits until no other download of the blob is under way and keeps others out. Python's huggingface_hub takes the same lock.
func (c *Client) lock(ctx context.Context, r repo, b blob) (*flock.Flock, error) {
	path := filepath.Join(r.cache, ".locks", r.name, b.etag+".lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	lock := flock.New(path, flock.SetPermissions(0o664))
	if held, err := lock.TryLock(); err == nil && !held {
		c.log("%s: another download of it is under way, waiting for that", b.file)
	}
	if _, err := lock.TryLockContext(ctx, 200*time.Millisecond); err != nil {
		_ = lock.Close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	_ = os.Chmod(path, 0o664) // as Python does, against the umask: a group may share a cache; only the owner can, and did
	return lock, nil
}

// download completes the file part and checks it. A part with a wrong hash is removed: it would never become right.
func (c *Client) download(ctx context.Context, from, part string, b blob) error {
	err := c.net().File(ctx, download.File{
		Name: b.file, Part: part, Size: b.size,
		Ask: func(ctx context.Context, header http.Header) (*http.Response, error) {
			return c.request(ctx, c.follow, http.MethodGet, from, header)
		},
		Tell: func(done int64) { c.progress(b.file, done, b.size) },
	})
	if err != nil {
		return err
	}
	if err := check(part, b); err != nil {
		if errors.Is(err, errDamaged) {
			err = errors.Join(err, os.Remove(part))
		}
		return err
	}
	return nil
}

// check compares a file with the hash that is its blob's name.
func check(name string, b blob) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var h hash.Hash
	switch len(b.etag) {
	case 2 * sha256.Size:
		h = sha256.New()
	default: // as git names a blob
		st, err := f.Stat()
		if err != nil {
			return err
		}
		h = sha1.New()
		fmt.Fprintf(h, "blob %d\x00", st.Size())
	}
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != b.etag {
		return fmt.Errorf("%s is %w: its hash is %s, want %s; it is not used (hint: run this again; if it stays so, a proxy or mirror "+
			"changes what it passes on)", b.file, errDamaged, got, b.etag)
	}
	return nil
}
