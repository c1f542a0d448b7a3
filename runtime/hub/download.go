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
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
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
	var most int64 // the longest that the part has been, so that a server that always cuts at one place is given up
	err := c.retry(ctx, b.file, func() (bool, error) {
		n, err := c.attempt(ctx, from, part, b)
		moved := n > most
		most = max(most, n)
		return moved, err
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

// attempt makes one request for what is missing of the part and returns how many bytes it has then.
func (c *Client) attempt(ctx context.Context, from, part string, b blob) (have int64, err error) {
	out, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	have, err = out.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if have == b.size {
		c.progress(b.file, have, b.size)
		return have, nil
	}
	if b.size >= 0 && have > b.size {
		have = 0 // another file's leftovers
	}

	header := http.Header{}
	if have > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	resp, err := c.request(ctx, c.follow, http.MethodGet, from, header)
	var r *refusal
	if errors.As(err, &r) && r.status == http.StatusRequestedRangeNotSatisfiable && have > 0 {
		return 0, errors.Join(passing{fmt.Errorf("%w for byte %d", err, have)}, out.Truncate(0))
	}
	if err != nil {
		return have, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusPartialContent && have > 0 && rangeStart(resp) == have:
		c.log("%s: going on at %s", b.file, megabytes(have))
	case resp.StatusCode == http.StatusOK:
		have = 0 // the whole file: the server does not resume
	default:
		// Not what was asked for: start over.
		return 0, errors.Join(passing{fmt.Errorf("%s for byte %d", resp.Status, have)}, out.Truncate(0))
	}
	if err := out.Truncate(have); err != nil {
		return 0, err
	}
	if _, err := out.Seek(have, io.SeekStart); err != nil {
		return 0, err
	}
	rest := io.Reader(resp.Body)
	if b.size >= 0 {
		rest = io.LimitReader(rest, b.size-have+1) // one more, to notice a file that is too large
	}
	in := &reader{from: rest, done: have, told: have, tell: func(done int64) { c.progress(b.file, done, b.size) }}
	if _, err = io.Copy(out, in); err != nil {
		if in.failed {
			err = passing{err}
		}
		return in.done, err
	}
	switch {
	case b.size >= 0 && in.done < b.size:
		return in.done, passing{fmt.Errorf("the connection was cut at %d of %d bytes", in.done, b.size)}
	case b.size >= 0 && in.done > b.size:
		return 0, errors.Join(fmt.Errorf("it is larger than the %d bytes that the hub states", b.size), out.Truncate(0))
	}
	c.progress(b.file, in.done, b.size)
	return in.done, out.Sync()
}

// rangeStart is the first byte of a partial answer, -1 if it does not say.
func rangeStart(resp *http.Response) int64 {
	text, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes ")
	first, _, dash := strings.Cut(text, "-")
	n, err := strconv.ParseInt(first, 10, 64)
	if !ok || !dash || err != nil {
		return -1
	}
	return n
}

// reader counts what comes and remembers whether it was the reading that failed and not the writing.
type reader struct {
	from   io.Reader
	done   int64 // bytes that are there
	told   int64 // of done, at the last call of tell
	tell   func(done int64)
	failed bool
}

const tellEvery = 256 << 10

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.done += int64(n)
	r.failed = err != nil && err != io.EOF
	if r.done-r.told >= tellEvery {
		r.told = r.done
		r.tell(r.done)
	}
	return n, err
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
