package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"mixr/runtime/download"
)

// Held is what the cache has of a revision.
type Held struct {
	Folder  string   // the snapshot; "" where there is none
	Commit  string   // what the revision stood for when it was last fetched; "" where nobody has
	Files   []string // wanted files that are there
	Missing []string // wanted files that are not, as far as that is known
	Listed  bool     // whether the cache knows which files the repository has, so that Missing is all
}

// Complete reports whether nothing would be downloaded as long as the revision stands for the same commit.
func (h Held) Complete() bool { return h.Listed && len(h.Files) > 0 && len(h.Missing) == 0 }

// String says in a few words what is there and what Fetch would do.
func (h Held) String() string {
	switch {
	case len(h.Files) == 0:
		return "not in the cache, to be downloaded"
	case len(h.Missing) > 0:
		return fmt.Sprintf("commit %.8s in the cache with %d of its files; to be downloaded: %s", h.Commit, len(h.Files), some(h.Missing))
	case !h.Listed:
		return fmt.Sprintf("commit %.8s in the cache with %d files; whether there are more is to be asked", h.Commit, len(h.Files))
	}
	return fmt.Sprintf("commit %.8s in the cache, complete with %d files", h.Commit, len(h.Files))
}

// Look says what the cache has of the wanted files (nil: ModelFiles), without any request and without writing anything. A
// repository of which the cache knows that it has no safetensors is an error, as for Fetch.
func (c *Client) Look(ref Ref, want func(file string) bool) (Held, error) {
	if want == nil {
		want = ModelFiles
	}
	r := c.repo(ref.Repo)
	h := Held{Commit: ref.Revision}
	if !ref.Pinned() {
		h.Commit = r.commit(ref.Revision)
	}
	if h.Commit == "" {
		return h, nil
	}
	var wanted []string
	var err error
	if all := r.listing(h.Commit); all != nil {
		h.Listed = true
		wanted, err = choose(all, want)
	} else {
		wanted, err = r.known(h.Commit, want)
	}
	if err != nil {
		return Held{}, fmt.Errorf("hub: %s: %w", ref, err)
	}
	for _, file := range wanted {
		switch {
		case r.has(h.Commit, file):
			h.Files = append(h.Files, file)
		default:
			h.Missing = append(h.Missing, file)
		}
	}
	if len(h.Files) > 0 {
		h.Folder = r.snapshot(h.Commit)
	}
	return h, nil
}

// repo is a repository's place in the cache.
type repo struct {
	cache string
	name  string // models--ORG--NAME
}

func (c *Client) repo(id string) repo {
	return repo{c.options.Cache, "models--" + strings.ReplaceAll(id, "/", "--")}
}

func (r repo) dir(parts ...string) string {
	return filepath.Join(append([]string{r.cache, r.name}, parts...)...)
}

func (r repo) snapshot(commit string) string    { return r.dir("snapshots", commit) }
func (r repo) blob(etag string) string          { return r.dir("blobs", etag) }
func (r repo) part(etag string) string          { return r.dir("blobs", etag+".incomplete") }
func (r repo) ownListing(commit string) string  { return r.dir(".files", commit+".json") }
func (r repo) hubsListing(commit string) string { return r.dir("trees", commit+".json") }

// has reports whether a snapshot has a file. A link to a blob that is gone counts as none.
func (r repo) has(commit, file string) bool {
	st, err := os.Stat(filepath.Join(r.snapshot(commit), filepath.FromSlash(file)))
	return err == nil && st.Mode().IsRegular()
}

// commit is what a branch or tag stood for, "" if that is not known.
func (r repo) commit(revision string) string {
	text, err := os.ReadFile(r.dir("refs", filepath.FromSlash(revision)))
	if commit := strings.TrimSpace(string(text)); err == nil && isCommit(commit) {
		return commit
	}
	return "" // also where the file is damaged: the hub is asked and it is written anew
}

func (r repo) writeRef(ref Ref, commit string) error {
	if ref.Revision == commit || r.commit(ref.Revision) == commit {
		return nil
	}
	return write(r.dir("refs", filepath.FromSlash(ref.Revision)), []byte(commit))
}

// listing returns the names of all files of a commit, nil if no tool has noted them. A note that is damaged, or that another
// user may not read (Python's are private), is none: the hub is asked.
func (r repo) listing(commit string) []string {
	var own struct{ Files []string }
	if err := readJSON(r.ownListing(commit), &own); err == nil {
		return own.Files
	}
	var hubs struct { // huggingface_hub/_tree_cache.py
		FormatVersion int `json:"format_version"`
		Files         map[string]json.RawMessage
	}
	if err := readJSON(r.hubsListing(commit), &hubs); err != nil || hubs.FormatVersion != 1 {
		return nil
	}
	return slices.Sorted(maps.Keys(hubs.Files))
}

// writeListing notes the names of all files of a commit, so that later it is known without the hub whether a snapshot is
// complete. huggingface_hub's own form is not written: its offline mode would then refuse a snapshot without README.md.
func (r repo) writeListing(commit string, all []string) error {
	if r.listing(commit) != nil {
		return nil
	}
	text, err := json.MarshalIndent(map[string][]string{"files": all}, "", " ")
	if err != nil {
		return err
	}
	return write(r.ownListing(commit), append(text, '\n'))
}

// known lists the wanted files of a commit of which no tool has noted all: those that are there, and those that a model cannot
// do without (its configuration, and its weights by their index).
func (r repo) known(commit string, want func(string) bool) ([]string, error) {
	root := r.snapshot(commit)
	names := map[string]bool{}
	err := filepath.WalkDir(root, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, at)
		names[filepath.ToSlash(name)] = true
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if want("model.safetensors.index.json") {
		err := readJSON(filepath.Join(root, "model.safetensors.index.json"), &index)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	for _, shard := range index.WeightMap {
		names[shard] = true
	}
	weights := func(name string) bool { return path.Ext(name) == ".safetensors" }
	if !slices.ContainsFunc(slices.Collect(maps.Keys(names)), weights) {
		names["model.safetensors"] = true
	}
	names["config.json"] = true
	maps.DeleteFunc(names, func(name string, _ bool) bool { return !want(name) || checkPath(name) != nil })
	return slices.Sorted(maps.Keys(names)), nil
}

// lacks is how many bytes of a blob are still to come, 0 where its size is not known.
func (r repo) lacks(b blob) int64 {
	if r.hasBlob(b) {
		return 0
	}
	st, err := os.Stat(r.part(b.etag))
	if err != nil || st.Size() > b.size {
		return b.size
	}
	return b.size - st.Size()
}

// hasBlob reports whether the content is there. One of another size is the work of a tool that does not check, or of a broken
// disk, and is replaced.
func (r repo) hasBlob(b blob) bool {
	st, err := os.Stat(r.blob(b.etag))
	return err == nil && st.Mode().IsRegular() && (b.size < 0 || st.Size() == b.size)
}

// room fails where a disk has less than n bytes free, so that hours of downloading do not end with that.
func (r repo) room(n int64) error {
	if err := os.MkdirAll(r.dir("blobs"), 0o777); err != nil {
		return fmt.Errorf("%w (hint: set HF_HUB_CACHE to a folder that you can write in)", err)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(r.dir("blobs"), &st); err != nil {
		return fmt.Errorf("free space of %s: %w", r.cache, err)
	}
	if free := int64(st.Bavail) * int64(st.Bsize); free < n {
		return fmt.Errorf("%w: %s are needed and the disk of %s has %s (%s)", errNoRoom, download.Megabytes(n), r.cache, download.Megabytes(free), roomHint)
	}
	return nil
}

var errNoRoom = errors.New("too little room")

const roomHint = "hint: make room, or set HF_HUB_CACHE to a folder on a larger disk; what has come so far is kept"

// link puts a blob into a snapshot under a file's name.
func (r repo) link(commit, file, etag string) error {
	at := filepath.Join(r.snapshot(commit), filepath.FromSlash(file))
	if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
		return err
	}
	target, err := filepath.Rel(filepath.Dir(at), r.blob(etag)) // relative, so that the cache can be moved
	if err != nil {
		return err
	}
	if err := os.Symlink(target, at); !errors.Is(err, fs.ErrExist) {
		return err
	}
	// It is a link to a blob that is gone, or one that another process has just made: both may be replaced.
	temporary := fmt.Sprintf("%s.%08x.tmp", at, rand.Uint32())
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, at)
}

func readJSON(name string, to any) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("%s: %w (hint: remove it)", name, err)
	}
	return nil
}

// write makes a small file that is whole or not there.
func write(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return renameio.WriteFile(name, text, 0o666)
}
