// Package download brings large files over connections that fail.
//
// In goes a way to ask for a file, out comes the file on disk, complete by its size. A download goes on where it was cut, also one
// that another process began, and is tried again as long as that brings something new. Which answers are refusals, and which of them
// may pass, the caller says; so does it compare the content with a hash, and keep others from the same file.
package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

var (
	// ErrGivenUp marks errors that are not the request's fault: the network's, or a server's that is not well.
	ErrGivenUp = errors.New("given up")

	errStalled = errors.New("the connection is dead")
)

const (
	// MaxTries is how many attempts in a row may bring nothing new before giving up.
	MaxTries = 5

	// maxWait is how long a server may ask to be left alone; one that asks for more is given up. The windows of rate limits are as long.
	maxWait = 5 * time.Minute
)

// Client says how patient a download is. It is safe for concurrent use.
type Client struct {
	Pause time.Duration                    // before the first retry, doubled for each further one
	Stall time.Duration                    // how long a connection may bring nothing before it is taken for dead
	Log   func(format string, args ...any) // gets a line at a time; must be set
}

// Passing is an error that another attempt may not meet.
type Passing struct {
	Err   error
	After time.Duration // the server asks not to be asked before; 0 if it does not say
}

func (p Passing) Error() string { return p.Err.Error() }
func (p Passing) Unwrap() error { return p.Err }

// Retry repeats an attempt until it succeeds, fails with an error that is not Passing, or MaxTries in a row have moved nothing. what
// begins its error, which is ErrGivenUp if another time the same may succeed.
func (c *Client) Retry(ctx context.Context, what string, attempt func() (moved bool, err error)) error {
	pause := c.Pause
	for try := 1; ; try++ {
		moved, err := attempt()
		if err == nil {
			return nil
		}
		if moved {
			try, pause = 1, c.Pause
		}
		var dns *net.DNSError
		var p Passing
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &dns) && dns.IsNotFound:
			return fmt.Errorf("%s: %w: %w", what, ErrGivenUp, err) // no way out of this network
		case !errors.As(err, &p):
			return fmt.Errorf("%s: %w", what, err)
		}
		wait := max(pause, p.After)
		if try >= MaxTries || wait > maxWait {
			return fmt.Errorf("%s: %w after %d tries: %w", what, ErrGivenUp, try, err)
		}
		c.Log("%s: %v, trying again in %s", what, err, wait)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		pause *= 2
	}
}

// Do asks once, and returns whatever the server answers; that none comes is Passing. The caller closes the body, which fails once the
// connection brings nothing for Client.Stall.
func (c *Client) Do(ctx context.Context, client *http.Client, method, at string, header http.Header) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	alive := time.AfterFunc(c.Stall, func() { cancel(errStalled) })
	end := func() { alive.Stop(); cancel(nil) }
	req, err := http.NewRequestWithContext(ctx, method, at, nil)
	if err != nil {
		end()
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", "mixr")
	req.Header.Set("Accept-Encoding", "identity") // sizes and ranges are those of the file
	resp, err := client.Do(req)
	if err != nil {
		err = Passing{Err: causeOr(ctx, err)}
		end()
		return nil, err
	}
	alive.Stop()
	resp.Body = &body{ReadCloser: resp.Body, ctx: ctx, alive: alive, stall: c.Stall, end: end}
	return resp, nil
}

// body is an answer's content. The clock runs only while it is read: a slow disk is no dead connection.
type body struct {
	io.ReadCloser
	ctx   context.Context // of this request
	alive *time.Timer
	stall time.Duration
	end   func()
}

func (b *body) Read(p []byte) (int, error) {
	b.alive.Reset(b.stall)
	n, err := b.ReadCloser.Read(p)
	b.alive.Stop()
	if err != nil && err != io.EOF {
		err = causeOr(b.ctx, err)
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}

// causeOr prefers the reason for which a request was cancelled to the request's own error, from which it drops the address: it
// may hold a signature, and Retry says what was asked for.
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

// Megabytes writes a number of bytes for messages.
func Megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
