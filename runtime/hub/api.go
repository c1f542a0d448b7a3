package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"mixr/runtime/download"
)

// maxListing bounds the answer that lists a repository: 100,000 files are some 10 MB.
const maxListing = 64 << 20

// list asks for the commit that a revision stands for and for the names of its files.
func (c *Client) list(ctx context.Context, ref Ref) (commit string, files []string, err error) {
	at := c.page + "/api/models/" + ref.Repo + "/revision/" + url.PathEscape(ref.Revision)
	var answer struct {
		SHA      string
		Siblings []struct{ RFilename string }
	}
	err = c.net().Retry(ctx, "list its files", func() (bool, error) {
		resp, err := c.request(ctx, c.follow, http.MethodGet, at, nil)
		if err != nil {
			return false, err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(io.LimitReader(resp.Body, maxListing+1))
		if err != nil {
			return false, download.Passing{Err: err}
		}
		if len(text) > maxListing {
			return false, fmt.Errorf("the answer is longer than %s", download.Megabytes(maxListing))
		}
		if err := json.Unmarshal(text, &answer); err != nil {
			return false, fmt.Errorf("the answer is not a hub's: %w (hint: HF_ENDPOINT is %s)", err, c.page)
		}
		return false, nil
	})
	if err != nil {
		return "", nil, err
	}
	if !isCommit(answer.SHA) || ref.Pinned() && answer.SHA != ref.Revision {
		return "", nil, fmt.Errorf("list its files: the hub says that the commit is %q", answer.SHA)
	}
	files = make([]string, len(answer.Siblings)) // not nil: no files are an answer too
	for i, s := range answer.Siblings {
		files[i] = s.RFilename
	}
	return answer.SHA, files, nil
}

// blob is the content of a file.
type blob struct {
	file string // its name in the repository, for messages
	etag string // its hash and its name in the cache: git's sha1 (40 digits) or sha256 (64)
	size int64  // bytes; -1 where the hub does not say
}

// head asks what content a file has at a commit.
func (c *Client) head(ctx context.Context, id, commit, file string) (blob, error) {
	b := blob{file: file, size: -1}
	err := c.net().Retry(ctx, file, func() (bool, error) {
		resp, err := c.request(ctx, c.stay, http.MethodHead, c.resolve(id, commit, file), nil)
		if err != nil {
			return false, err
		}
		resp.Body.Close()
		h := resp.Header
		if at := h.Get("X-Repo-Commit"); at != "" && at != commit {
			return false, fmt.Errorf("the hub answers for commit %q, not %s", at, commit)
		}
		tag := h.Get("X-Linked-Etag") // of the content to which the hub leads
		if tag == "" {
			tag = h.Get("ETag")
		}
		b.etag = strings.Trim(strings.TrimPrefix(tag, "W/"), `"`)
		if !isHex(b.etag) || len(b.etag) != 40 && len(b.etag) != 64 {
			return false, fmt.Errorf("the hub gives no hash for it but the tag %q, so it could not be checked (hint: HF_ENDPOINT is %s)",
				tag, c.page)
		}
		length := h.Get("X-Linked-Size")
		if length == "" && resp.StatusCode < 300 {
			length = h.Get("Content-Length")
		}
		if n, err := strconv.ParseInt(length, 10, 64); err == nil && n >= 0 {
			b.size = n
		}
		return false, nil
	})
	return b, err
}

// resolve is the address of a file's content.
func (c *Client) resolve(id, commit, file string) string {
	parts := strings.Split(file, "/")
	for i, p := range parts {
		parts[i] = url.PathEscape(p)
	}
	return c.page + "/" + id + "/resolve/" + commit + "/" + strings.Join(parts, "/")
}
