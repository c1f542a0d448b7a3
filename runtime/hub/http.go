package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

var (
	errGivenUp = errors.New("given up") // marks errors that are not the request's fault
	errStalled = errors.New("the connection is dead")
)

const (
	maxTries     = 5               // attempts in a row that may bring nothing new before giving up
	maxWait      = 5 * time.Minute // the window of the hub's rate limits: a server that asks for more is not waited for
	maxRedirects = 10
)

// refusal is an answer that is no success.
type refusal struct {
	status  int
	code    string        // X-Error-Code, such as GatedRepo
	message string        // X-Error-Message
	host    string        // who refused, if not the hub itself
	after   time.Duration // Retry-After, 0 if it does not say
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
	if r.message != "" {
		text += ": " + r.message
	}
	if r.host != "" {
		text += " from " + r.host
	}
	if r.after > 0 {
		text += fmt.Sprintf(", to be asked again in %s", r.after)
	}
	return text
}

// passes reports whether the same request may succeed later. Storage behind the hub refuses links that have grown old; the
// next attempt gets a new one.
func (r *refusal) passes() bool {
	return r.status >= 500 || r.status == http.StatusTooManyRequests || r.status == http.StatusRequestTimeout ||
		r.status == http.StatusForbidden && r.host != ""
}

// passing is an error that another attempt may not meet.
type passing struct{ error }

func (p passing) Unwrap() error { return p.error }

// retry repeats an attempt until it succeeds, fails for good, or maxTries in a row have moved nothing.
func (c *Client) retry(ctx context.Context, what string, attempt func() (moved bool, err error)) error {
	pause := c.pause
	for try := 1; ; try++ {
		moved, err := attempt()
		if err == nil {
			return nil
		}
		if moved {
			try, pause = 1, c.pause
		}
		var dns *net.DNSError
		var r *refusal
		wait := pause
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &dns) && dns.IsNotFound:
			return fmt.Errorf("%s: %w: %w", what, errGivenUp, err) // no way out of this network
		case !errors.As(err, new(passing)):
			return fmt.Errorf("%s: %w", what, err)
		case errors.As(err, &r):
			wait = max(wait, r.after)
		}
		if try >= maxTries || wait > maxWait {
			return fmt.Errorf("%s: %w after %d tries: %w", what, errGivenUp, try, err)
		}
		c.log("%s: %v, trying again in %s", what, err, wait)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
		pause *= 2
	}
}

// request asks once. An answer that is neither a success nor, for Client.stay, a redirect, is an error; one that another
// attempt may change is passing. The caller closes the body, which fails once the connection brings nothing for Client.stall.
func (c *Client) request(ctx context.Context, client *http.Client, method, at string, header http.Header) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	alive := time.AfterFunc(c.stall, func() { cancel(errStalled) })
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
	if c.options.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.options.Token)
	}
	resp, err := client.Do(req)
	if err != nil {
		err = passing{causeOr(ctx, err)}
		end()
		return nil, err
	}
	alive.Stop()
	if resp.StatusCode >= 400 || resp.StatusCode >= 300 && client != c.stay {
		resp.Body.Close()
		end()
		r := c.refused(resp)
		if r.passes() {
			return nil, passing{r}
		}
		return nil, r
	}
	resp.Body = &body{ReadCloser: resp.Body, ctx: ctx, alive: alive, stall: c.stall, end: end}
	return resp, nil
}

func (c *Client) refused(resp *http.Response) *refusal {
	h := resp.Header
	r := &refusal{status: resp.StatusCode, code: h.Get("X-Error-Code"), message: printable(h.Get("X-Error-Message"))}
	if !c.here(resp.Request.URL) {
		r.host = resp.Request.URL.Host
	}
	if n, err := strconv.Atoi(h.Get("Retry-After")); err == nil && n > 0 {
		r.after = time.Duration(n) * time.Second
	}
	return r
}

// printable shortens what a server says to something that a terminal can show.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), 300)], "")
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
// may hold a signature, and retry says what was asked for.
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

// here reports whether an address is the hub's own: scheme, host and port.
func (c *Client) here(u *url.URL) bool {
	return u.Scheme == c.endpoint.Scheme && u.Host == c.endpoint.Host
}

// withoutToken follows redirects, but takes the token to the hub alone. net/http would also take it to subdomains, to other
// ports and from https to http.
func (c *Client) withoutToken(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("%d redirects", maxRedirects)
	}
	if !c.here(req.URL) {
		req.Header.Del("Authorization")
	}
	return nil
}

// onlyHere follows redirects that stay with the hub, as those of a renamed repository do. The answer that leads elsewhere is the
// one that describes the file.
func (c *Client) onlyHere(req *http.Request, via []*http.Request) error {
	if !c.here(req.URL) {
		return http.ErrUseLastResponse
	}
	return c.withoutToken(req, via)
}

// hint adds to an error what the user can do about it.
func (c *Client) hint(ref Ref, err error) error {
	page := c.page + "/" + ref.Repo
	var r *refusal
	if !errors.As(err, &r) || r.host != "" {
		switch {
		case errors.Is(err, errNoRoom):
			return err // says it already
		case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT):
			return fmt.Errorf("%w (%s)", err, roomHint)
		case errors.Is(err, errGivenUp):
			return fmt.Errorf("%w (hint: check the network, HTTPS_PROXY and HF_ENDPOINT, which is %s; what has come so far is kept; "+
				"or give a local folder)", err, c.page)
		}
		return err
	}
	var todo string
	switch {
	case r.code == "GatedRepo":
		todo = fmt.Sprintf("the repository is gated: accept its terms at %s, and set HF_TOKEN to a token of the account that did", page)
	case r.code == "RevisionNotFound":
		todo = fmt.Sprintf("it has no branch, tag or commit %s: see %s/commits/main", ref.Revision, page)
	case r.status == http.StatusUnauthorized && c.options.Token == "":
		todo = fmt.Sprintf("there is no such repository, or it is private or gated: look at %s, accept its terms if it has some, and "+
			"set HF_TOKEN to a token that may read it", page)
	case r.status == http.StatusUnauthorized:
		todo = fmt.Sprintf("there is no such repository, or the token (HF_TOKEN, or that of hf auth login) is not valid or may not "+
			"read it: look at %s", page)
	case r.status == http.StatusForbidden:
		todo = fmt.Sprintf("accept the terms at %s if it has some, and set HF_TOKEN to a token that may read it", page)
	case r.code == "EntryNotFound":
		todo = fmt.Sprintf("the file is listed and not there: look at %s/tree/%s", page, ref.Revision)
	case r.status == http.StatusNotFound:
		todo = fmt.Sprintf("there is no such repository or revision, or it is private: look at %s; for a private one set HF_TOKEN", page)
	case r.status == http.StatusTooManyRequests:
		todo = "the hub limits how often one may ask, more so without HF_TOKEN: wait, then run this again; what has come so far is kept"
	case r.passes():
		todo = "the hub is not well: run this again later; what has come so far is kept"
	default:
		return err
	}
	return fmt.Errorf("%w (hint: %s)", err, todo)
}
