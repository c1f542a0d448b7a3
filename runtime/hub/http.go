package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"mixr/runtime/download"
)

const maxRedirects = 10

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

// net is how patient the client is with the network.
func (c *Client) net() *download.Client {
	return &download.Client{Pause: c.pause, Stall: c.stall, Log: c.log}
}

// request asks once. An answer is an error if it is neither a success nor, for Client.stay, a redirect, nor that a range which was
// asked for is none; one that another attempt may change is download.Passing. The caller closes the body.
func (c *Client) request(ctx context.Context, client *http.Client, method, at string, header http.Header) (*http.Response, error) {
	header = header.Clone()
	if c.options.Token != "" {
		if header == nil {
			header = http.Header{}
		}
		header.Set("Authorization", "Bearer "+c.options.Token)
	}
	resp, err := c.net().Do(ctx, client, method, at, header)
	if err != nil {
		return nil, err
	}
	noRange := resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && header.Get("Range") != ""
	if !noRange && (resp.StatusCode >= 400 || resp.StatusCode >= 300 && client != c.stay) {
		resp.Body.Close()
		r := c.refused(resp)
		if r.passes() {
			return nil, download.Passing{Err: r, After: r.after}
		}
		return nil, r
	}
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
		case errors.Is(err, download.ErrGivenUp):
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
