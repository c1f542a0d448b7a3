package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// maxTries is how many attempts in a row may bring no new byte before a download is given up.
const maxTries = 5

// github downloads the project's own release. It goes on from a partial file, also one that an earlier process left.
func (f *finder) github(ctx context.Context, p pin, lib string) error {
	s := p.github
	archive := filepath.Join(filepath.Dir(lib), s.name)
	f.log("GitHub: fetching %s, %s", s.name, megabytes(s.size))
	if err := f.download(ctx, f.release+"/"+s.name, archive+partial, s.size); err != nil {
		return err
	}
	if err := os.Rename(archive+partial, archive); err != nil {
		return err
	}
	defer os.Remove(archive) // installed, or wrong: a partial file of a wrong one would never become right
	return install(archive, s, lib)
}

var (
	errFatal   = errors.New("giving up") // marks an answer that another try would not change
	errStalled = errors.New("the connection is dead")
)

// download brings the URL from to the file part, of size bytes, trying again from where it was cut.
func (f *finder) download(ctx context.Context, from, part string, size int64) error {
	pause := f.pause
	for try := 1; ; try++ {
		got, err := f.attempt(ctx, from, part, size)
		if err == nil {
			return nil
		}
		if got > 0 {
			try, pause = 1, f.pause // it moves
		}
		var dns *net.DNSError
		if errors.As(err, &dns) && dns.IsNotFound {
			err = fmt.Errorf("%w: %w", errFatal, err) // no way out of this network
		}
		if ctx.Err() != nil || errors.Is(err, errFatal) || try >= maxTries {
			return fmt.Errorf("get %s: %w", from, err)
		}
		f.log("GitHub: %v, trying again", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// attempt makes one request for what is missing of the file and returns how many bytes came.
func (f *finder) attempt(ctx context.Context, from, part string, size int64) (got int64, err error) {
	out, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errFatal, err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	have, err := out.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if have > size {
		have = 0 // another file's leftovers
	}
	if have == size {
		return 0, nil
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	dead := time.AfterFunc(f.stall, func() { cancel(errStalled) })
	defer dead.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errFatal, err)
	}
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return 0, causeOr(ctx, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
		have = 0 // the whole file: the server does not resume
	case resp.StatusCode == http.StatusPartialContent && rangeStart(resp) == have:
		f.log("GitHub: going on at %s", megabytes(have))
	case resp.StatusCode == http.StatusPartialContent, resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		// Not what was asked for: start over.
		return 0, errors.Join(fmt.Errorf("%s for byte %d", resp.Status, have), out.Truncate(0))
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return 0, errors.New(resp.Status)
	default:
		return 0, fmt.Errorf("%w: %s", errFatal, resp.Status)
	}
	if err := out.Truncate(have); err != nil {
		return 0, err
	}
	if _, err := out.Seek(have, io.SeekStart); err != nil {
		return 0, err
	}
	got, err = io.Copy(out, &progress{
		from: io.LimitReader(resp.Body, size-have+1), // one more, to notice a file that is too large
		read: func() { dead.Reset(f.stall) },
		done: have, size: size, log: f.log,
	})
	switch {
	case err != nil:
		return got, causeOr(ctx, err)
	case have+got < size:
		return got, fmt.Errorf("the connection was cut at %d of %d bytes", have+got, size)
	case have+got > size:
		return 0, errors.Join(fmt.Errorf("%w: the file is larger than the %d bytes that are expected", errFatal, size), out.Truncate(0))
	}
	return got, out.Sync()
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

// causeOr prefers the reason for which a request was cancelled to the request's own error, from which it drops the URL:
// download names it.
func causeOr(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// progress logs each tenth of a download as it passes.
type progress struct {
	from       io.Reader
	read       func() // called after each read
	done, size int64
	log        func(format string, args ...any)
}

func (p *progress) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	p.read()
	before := p.done * 10 / p.size
	p.done += int64(n)
	if now := p.done * 10 / p.size; now > before {
		p.log("GitHub: %s of %s", megabytes(p.done), megabytes(p.size))
	}
	return n, err
}
