// Package hub turns hf:ORG/NAME@REVISION into a local folder.
//
// In go a reference and the names that are wanted, out comes a snapshot folder in Hugging Face's own cache, in the layout of
// Python's huggingface_hub: what one tool has fetched the others find.
//
//	models--ORG--NAME/blobs/HASH               content: git's sha1 of a small file, the sha256 of a large one
//	models--ORG--NAME/blobs/HASH.incomplete    what has come of it so far
//	models--ORG--NAME/refs/REVISION            the commit that a branch or tag stood for when it was last fetched
//	models--ORG--NAME/snapshots/COMMIT/FILE    a relative link to the blob
//	models--ORG--NAME/trees/COMMIT.json        the files of a commit, by huggingface_hub >= 2; read, never written
//	models--ORG--NAME/.files/COMMIT.json       the files of a commit, by this package
//	.locks/models--ORG--NAME/HASH.lock         held (flock) while a blob is fetched
//
// A download goes on where it was cut, also by another process, and a blob gets its name only when its content has the hash
// that the hub states. Files that are in a snapshot are taken at their word, whoever put them there. The token goes to the
// hub's own address and nowhere else. Pickled weights are never fetched. Errors say what failed, for which file, and what to do.
package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"mixr/runtime/download"
)

// DefaultEndpoint is the public hub.
const DefaultEndpoint = "https://huggingface.co"

// Options are machine settings; Environment reads them from the variables of Hugging Face's tools.
type Options struct {
	// Endpoint is the address of the hub or of a mirror; "" is DefaultEndpoint.
	Endpoint string
	// Token is sent to Endpoint; "" asks as nobody, which is enough for what is public.
	Token string
	// Cache is the folder with models--ORG--NAME in it. It must be set.
	Cache string
	// Offline forbids every request.
	Offline bool
	// Progress is told how many bytes of a file are there, every 256 kB and at its end; total is -1 where the hub does not say.
	// It is called from one goroutine at a time; nil drops it.
	Progress func(file string, done, total int64)
	// Log receives one line at a time; nil drops them. It is called from one goroutine at a time.
	Log func(line string)
}

// Client fetches from one hub into one cache. It is safe for concurrent use, also of several processes on one cache.
type Client struct {
	options  Options
	endpoint *url.URL
	page     string       // the endpoint as text, without a slash at its end
	follow   *http.Client // goes where a redirect leads, without the token if that is elsewhere
	stay     *http.Client // returns a redirect to elsewhere as the answer

	pause time.Duration // before the first retry, doubled for each further one
	stall time.Duration // how long a connection may bring nothing before it is taken for dead

	mu sync.Mutex // held while Progress or Log runs
}

// New makes a client. It asks nothing and writes nothing yet.
func New(o Options) (*Client, error) {
	if o.Endpoint == "" {
		o.Endpoint = DefaultEndpoint
	}
	page := strings.TrimRight(o.Endpoint, "/")
	endpoint, err := url.Parse(page)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "https" && endpoint.Scheme != "http" {
		return nil, fmt.Errorf("hub: the endpoint %q is no address (hint: set HF_ENDPOINT to one like %s, or unset it)",
			o.Endpoint, DefaultEndpoint)
	}
	if o.Cache == "" {
		return nil, errors.New("hub: no cache folder is set (hint: set HF_HUB_CACHE or HF_HOME)")
	}
	if o.Cache, err = filepath.Abs(o.Cache); err != nil {
		return nil, fmt.Errorf("hub: cache folder: %w", err)
	}
	if strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("hub: the token has characters that no token has (hint: set HF_TOKEN to the token alone)")
	}
	c := &Client{options: o, endpoint: endpoint, page: page, pause: time.Second, stall: 30 * time.Second}
	c.follow = &http.Client{CheckRedirect: c.withoutToken}
	c.stay = &http.Client{CheckRedirect: c.onlyHere}
	return c, nil
}

// Fetch makes sure that the cache has the wanted files of a repository and returns the snapshot folder and its commit. want is
// asked for every file that the repository has, by its slash-separated path; nil is ModelFiles.
//
// A branch or tag is looked up each time, so that the commit is the present one; if the hub cannot be reached and the cache
// has all of the commit that the revision last stood for, that is used and the log says so. A commit of which the cache has
// everything is used without any request. Cancelling ctx stops downloads; what has come is kept for the next call.
func (c *Client) Fetch(ctx context.Context, ref Ref, want func(file string) bool) (folder, commit string, err error) {
	if want == nil {
		want = ModelFiles
	}
	held, err := c.Look(ref, want)
	if err != nil {
		return "", "", err
	}
	switch {
	case ref.Pinned() && held.Complete():
		return held.Folder, held.Commit, nil
	case c.options.Offline:
		return c.offline(ref, held)
	}
	r := c.repo(ref.Repo)
	commit, err = c.fetch(ctx, r, ref, want)
	if errors.Is(err, download.ErrGivenUp) && held.Complete() {
		c.log("%v: using commit %s of %s from the cache", err, held.Commit, ref)
		return held.Folder, held.Commit, nil
	}
	if err != nil {
		return "", "", fmt.Errorf("hub: %s: %w", ref, c.hint(ref, err))
	}
	return r.snapshot(commit), commit, nil
}

// offline returns what the cache has, if that is enough. A cache that does not say which files the repository has is enough if
// nothing is known to be missing: another tool has filled it with what it needed.
func (c *Client) offline(ref Ref, held Held) (folder, commit string, err error) {
	how := fmt.Sprintf("and the hub may not be asked (HF_HUB_OFFLINE) (hint: fetch it once without that, or on a machine that has a "+
		"network and copy its folder to %s; or give a local folder)", c.repo(ref.Repo).dir())
	switch {
	case len(held.Files) == 0:
		return "", "", fmt.Errorf("hub: %s is not in the cache %s, %s", ref, c.options.Cache, how)
	case len(held.Missing) > 0:
		return "", "", fmt.Errorf("hub: %s: %s is incomplete, it has no %s, %s", ref, held.Folder, some(held.Missing), how)
	case !held.Listed:
		c.log("%s: the cache does not say which files this repository has; taking the %d that are there", ref, len(held.Files))
	}
	return held.Folder, held.Commit, nil
}

// fetch asks the hub and downloads what is missing.
func (c *Client) fetch(ctx context.Context, r repo, ref Ref, want func(string) bool) (commit string, err error) {
	commit, all, err := c.list(ctx, ref)
	if err != nil {
		return "", err
	}
	wanted, err := choose(all, want)
	if err != nil {
		return "", err
	}
	if err := r.writeListing(commit, all); err != nil {
		c.log("%s: cannot note its files, so they are asked for again next time: %v", ref, err)
	}
	var missing []string
	for _, file := range wanted {
		if !r.has(commit, file) {
			missing = append(missing, file)
		}
	}
	if len(missing) > 0 {
		if err := c.bring(ctx, r, ref, commit, missing); err != nil {
			return "", err
		}
	}
	// The revision moves last, so that it never stands for a commit of which a killed process has left only some files.
	if err := r.writeRef(ref, commit); err != nil {
		c.log("%s: cannot note its commit, so the cache does not know it without the hub: %v", ref, err)
	}
	return commit, nil
}

// bring downloads files of a commit and links them into its snapshot.
func (c *Client) bring(ctx context.Context, r repo, ref Ref, commit string, files []string) error {
	blobs := make([]blob, len(files))
	err := each(ctx, len(files), func(ctx context.Context, i int) (err error) {
		blobs[i], err = c.head(ctx, ref.Repo, commit, files[i])
		return err
	})
	if err != nil {
		return err
	}
	var need int64
	for _, b := range blobs {
		need += max(0, r.lacks(b))
	}
	c.log("%s: fetching %d of its files, %s, into %s", ref, len(files), download.Megabytes(need), r.snapshot(commit))
	if err := r.room(need); err != nil {
		return err
	}
	start := time.Now()
	err = each(ctx, len(files), func(ctx context.Context, i int) error {
		if err := c.get(ctx, r, ref.Repo, commit, blobs[i]); err != nil {
			return err
		}
		return r.link(commit, files[i], blobs[i].etag)
	})
	if err == nil {
		c.log("%s: complete after %.1f s", ref, time.Since(start).Seconds())
	}
	return err
}

// parallel is how many files are on their way at once: enough to hide the hub's answering times, and no more connections
// than a browser makes.
const parallel = 4

// each calls do for 0..n-1, some at once, and waits for all. The first error ends the others and is returned.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	places := make(chan struct{}, parallel)
	for i := range n {
		places <- struct{}{}
		wait.Go(func() {
			defer func() { <-places }()
			if ctx.Err() != nil {
				return
			}
			if err := do(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
}

func (c *Client) log(format string, args ...any) {
	if c.options.Log != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.options.Log(fmt.Sprintf(format, args...))
	}
}

func (c *Client) progress(file string, done, total int64) {
	if c.options.Progress != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.options.Progress(file, done, total)
	}
}
