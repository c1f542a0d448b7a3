package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// TellEvery is how many bytes come between two calls of File.Tell.
const TellEvery = 256 << 10

// File is a file to bring.
type File struct {
	Name string // for messages
	Part string // where it comes to lie; what is there already counts as its beginning
	Size int64  // bytes, -1 if that is not known

	// Ask requests the file with a header, which may want a range of it. It returns an answer that has content; every other is an
	// error, Passing if another attempt may change it. Status 416, that there is no such range, is none.
	Ask func(ctx context.Context, header http.Header) (*http.Response, error)

	// Tell is told how many bytes are there, at times and at the end.
	Tell func(done int64)
}

// File completes a file. What has come stays where it is on an error, for the next call, unless it cannot be of this file.
func (c *Client) File(ctx context.Context, f File) error {
	var most int64 // the longest that the part has been, so that a server that always cuts at one place is given up
	return c.Retry(ctx, f.Name, func() (bool, error) {
		n, err := c.attempt(ctx, f)
		moved := n > most
		most = max(most, n)
		return moved, err
	})
}

// attempt makes one request for what is missing and returns how many bytes are there then.
func (c *Client) attempt(ctx context.Context, f File) (have int64, err error) {
	out, err := os.OpenFile(f.Part, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	have, err = out.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	if have == f.Size {
		f.Tell(have)
		return have, nil
	}
	if f.Size >= 0 && have > f.Size {
		have = 0 // another file's leftovers
	}

	header := http.Header{}
	if have > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", have))
	}
	resp, err := f.Ask(ctx, header)
	if err != nil {
		return have, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusPartialContent && have > 0 && rangeStart(resp) == have:
		c.Log("%s: going on at %s", f.Name, Megabytes(have))
	case resp.StatusCode == http.StatusOK:
		have = 0 // the whole file: the server does not resume
	default:
		// Not what was asked for: start over.
		return 0, errors.Join(Passing{Err: fmt.Errorf("%s for byte %d", resp.Status, have)}, out.Truncate(0))
	}
	if err := out.Truncate(have); err != nil {
		return 0, err
	}
	if _, err := out.Seek(have, io.SeekStart); err != nil {
		return 0, err
	}
	rest := io.Reader(resp.Body)
	if f.Size >= 0 {
		rest = io.LimitReader(rest, f.Size-have+1) // one more, to notice a file that is too large
	}
	in := &reader{from: rest, done: have, told: have, tell: f.Tell}
	if _, err = io.Copy(out, in); err != nil {
		if in.failed {
			err = Passing{Err: err}
		}
		return in.done, err
	}
	switch {
	case f.Size >= 0 && in.done < f.Size:
		return in.done, Passing{Err: fmt.Errorf("the connection was cut at %d of %d bytes", in.done, f.Size)}
	case f.Size >= 0 && in.done > f.Size:
		return 0, errors.Join(fmt.Errorf("it is larger than the %d bytes that are expected", f.Size), out.Truncate(0))
	}
	f.Tell(in.done)
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

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	r.done += int64(n)
	r.failed = err != nil && err != io.EOF
	if r.done-r.told >= TellEvery {
		r.told = r.done
		r.tell(r.done)
	}
	return n, err
}
