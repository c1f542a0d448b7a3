package hub

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The layout is that of huggingface_hub 2.4 for the same files, but for .files and, there, trees and CACHEDIR.TAG.
func TestFetch(t *testing.T) {
	h := newHub(t)
	h.commits[commitA]["sub/vocab.txt"] = "nested"
	last, total := map[string]int64{}, map[string]int64{}
	u := h.user(t, t.TempDir(), func(o *Options) {
		o.Progress = func(file string, done, all int64) {
			if done < last[file] {
				t.Errorf("%s: %d bytes after %d", file, done, last[file])
			}
			last[file], total[file] = done, all
		}
	})
	want := func(name string) bool { return ModelFiles(name) || name == "sub/vocab.txt" }
	folder, commit, err := u.Fetch(t.Context(), mustParse(t, "hf:ORG/NAME"), want)
	if err != nil {
		t.Fatal(err)
	}
	cache, content := u.options.Cache, h.commits[commitA]
	if commit != commitA || folder != filepath.Join(cache, "models--ORG--NAME", "snapshots", commitA) {
		t.Errorf("commit %s at %s", commit, folder)
	}
	wantModel(t, folder, content)
	var wanted []string
	for _, name := range append([]string{"sub/vocab.txt"}, wantedOfModel...) {
		tag := etagOf(content[name])
		up := "../../"
		if strings.Contains(name, "/") {
			up += "../"
		}
		wanted = append(wanted, ".locks/models--ORG--NAME/"+tag+".lock", "models--ORG--NAME/blobs/"+tag,
			fmt.Sprintf("models--ORG--NAME/snapshots/%s/%s -> %sblobs/%s", commitA, name, up, tag))
		if n := int64(len(content[name])); last[name] != n || total[name] != n {
			t.Errorf("%s: progress ended at %d of %d, want %d", name, last[name], total[name], n)
		}
	}
	wanted = append(wanted, "models--ORG--NAME/refs/main", "models--ORG--NAME/.files/"+commitA+".json")
	slices.Sort(wanted)
	got := tree(t, cache)
	slices.Sort(got)
	if !slices.Equal(got, wanted) {
		t.Errorf("the cache has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wanted, "\n"))
	}
	if text, err := os.ReadFile(filepath.Join(cache, "models--ORG--NAME/refs/main")); string(text) != commitA {
		t.Errorf("refs/main is %q, %v", text, err)
	}

	// Again: the branch is looked up, and nothing else is asked.
	h.reset()
	if _, _, err := u.Fetch(t.Context(), mustParse(t, "hf:ORG/NAME"), want); err != nil {
		t.Fatal(err)
	}
	if got := h.requests; !slices.Equal(got, []string{"GET /api/models/ORG/NAME/revision/main"}) {
		t.Errorf("requests %q", got)
	}
}

// A pinned commit of which the cache has everything needs no hub; one with less asks for what is missing alone.
func TestPinned(t *testing.T) {
	h := newHub(t)
	u := h.user(t, t.TempDir())
	ref := mustParse(t, "hf:ORG/NAME@"+commitA)
	folder, _, err := u.Fetch(t.Context(), ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(u.options.Cache, "models--ORG--NAME/refs")); err == nil {
		t.Error("a commit became a ref")
	}
	h.reset()
	if again, commit, err := u.Fetch(t.Context(), ref, nil); err != nil || again != folder || commit != commitA {
		t.Errorf("%s at %s, %v", commit, again, err)
	}
	if len(h.requests) != 0 {
		t.Errorf("requests %q", h.requests)
	}

	if err := os.Remove(filepath.Join(u.options.Cache, "models--ORG--NAME/blobs", etagOf(h.commits[commitA]["tokenizer.json"]))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := u.Fetch(t.Context(), ref, nil); err != nil { // its link dangles
		t.Fatal(err)
	}
	wantModel(t, folder, h.commits[commitA])
	if got := h.count("HEAD"); got != 1 {
		t.Errorf("%d files were asked for, want one: %q", got, h.requests)
	}
}

// A revision that moves shares what did not change; the ref moves with it, only when all is there.
func TestMovingBranch(t *testing.T) {
	h := newHub(t)
	u := h.user(t, t.TempDir())
	main := mustParse(t, "hf:ORG/NAME")
	if _, _, err := u.Fetch(t.Context(), main, nil); err != nil {
		t.Fatal(err)
	}
	next := maps.Clone(h.commits[commitA])
	next["config.json"] = "{\"new\": 1}\n"
	h.commits[commitB], h.refs["main"] = next, commitB
	h.reset()
	h.disturb(func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		if strings.HasSuffix(r.URL.Path, "/config.json") && r.Method == "GET" {
			rw.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	})
	_, _, err := u.Fetch(t.Context(), main, nil)
	wantError(t, err, "config.json", "404")
	if held, err := u.Look(main, nil); err != nil || held.Commit != commitA || !held.Complete() {
		t.Errorf("after a failure: %+v, %v", held, err)
	}
	h.disturb(nil)
	folder, commit, err := u.Fetch(t.Context(), main, nil)
	if err != nil || commit != commitB {
		t.Fatal(commit, err)
	}
	wantModel(t, folder, next)
	if h.count("GET /"+etagOf(next["model-00001-of-00002.safetensors"])) != 0 {
		t.Error("a file that has not changed was downloaded again")
	}
	if held, err := u.Look(main, nil); err != nil || held.Commit != commitB || !held.Complete() {
		t.Errorf("after: %+v, %v", held, err)
	}
}

func TestRevisionWithSlashes(t *testing.T) {
	h := newHub(t)
	u := h.user(t, t.TempDir())
	if _, commit, err := u.Fetch(t.Context(), mustParse(t, "hf:ORG/NAME@refs/pr/1"), nil); err != nil || commit != commitA {
		t.Fatal(commit, err)
	}
	if h.count("GET /api/models/ORG/NAME/revision/refs%2Fpr%2F1") != 1 {
		t.Errorf("requests %q", h.requests)
	}
	if text, err := os.ReadFile(filepath.Join(u.options.Cache, "models--ORG--NAME/refs/refs/pr/1")); string(text) != commitA {
		t.Errorf("the ref is %q, %v", text, err)
	}
}

// What Python's tools have left is completed: from_pretrained fetches single files and notes no list.
func TestCompletesSnapshot(t *testing.T) {
	h := newHub(t)
	u := h.user(t, t.TempDir())
	content := h.commits[commitA]
	root := filepath.Join(u.options.Cache, "models--ORG--NAME")
	put(t, filepath.Join(root, "blobs", etagOf(content["config.json"])), content["config.json"])
	put(t, filepath.Join(root, "blobs", etagOf(content["tokenizer.json"])), content["tokenizer.json"])
	put(t, filepath.Join(root, "refs/main"), commitA)
	snapshot := filepath.Join(root, "snapshots", commitA)
	if err := os.MkdirAll(snapshot, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../blobs/"+etagOf(content["config.json"]), filepath.Join(snapshot, "config.json")); err != nil {
		t.Fatal(err)
	}
	held, err := u.Look(mustParse(t, "hf:ORG/NAME"), nil)
	if err != nil || held.Listed || !slices.Equal(held.Files, []string{"config.json"}) || !slices.Equal(held.Missing, []string{"model.safetensors"}) {
		t.Errorf("held %+v, %v", held, err)
	}
	folder, _, err := u.Fetch(t.Context(), mustParse(t, "hf:ORG/NAME@"+commitA), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantModel(t, folder, content)
	if h.count("GET /ORG/NAME/resolve/"+commitA+"/config.json") != 0 || h.count("GET /ORG/NAME/resolve/"+commitA+"/tokenizer.json") != 0 {
		t.Errorf("what the cache has was downloaded: %q", h.requests)
	}
}

// A blob of another size, which tools that do not check leave behind, is no content.
func TestTruncatedBlob(t *testing.T) {
	h := newHub(t)
	u := h.user(t, t.TempDir())
	name := "model-00001-of-00002.safetensors"
	content := h.commits[commitA][name]
	put(t, filepath.Join(u.options.Cache, "models--ORG--NAME/blobs", etagOf(content)), content[:1000])
	folder, _, err := u.Fetch(t.Context(), mustParse(t, "hf:ORG/NAME"), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantModel(t, folder, h.commits[commitA])
}

func TestOffline(t *testing.T) {
	h := newHub(t)
	cache := t.TempDir()
	off := h.user(t, cache, func(o *Options) { o.Offline = true })
	main := mustParse(t, "hf:ORG/NAME")
	_, _, err := off.Fetch(t.Context(), main, nil)
	wantError(t, err, "hf:ORG/NAME@main is not in the cache "+cache, "HF_HUB_OFFLINE", "hint")

	folder, _, err := h.user(t, cache).Fetch(t.Context(), main, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.reset()
	if got, commit, err := off.Fetch(t.Context(), main, nil); err != nil || got != folder || commit != commitA {
		t.Errorf("%s at %s, %v", commit, got, err)
	}
	if err := os.Remove(filepath.Join(folder, "tokenizer.json")); err != nil {
		t.Fatal(err)
	}
	_, _, err = off.Fetch(t.Context(), main, nil)
	wantError(t, err, "has no tokenizer.json", "HF_HUB_OFFLINE")
	if _, _, err := off.Fetch(t.Context(), mustParse(t, "hf:ORG/NAME@other"), nil); err == nil {
		t.Error("another branch was found")
	}
	if len(h.requests) != 0 {
		t.Errorf("requests %q", h.requests)
	}
}

// Without a list of files the cache is enough if it has configuration and weights; a shard that the index names must be there.
func TestOfflineUnlisted(t *testing.T) {
	h := newHub(t)
	cache := t.TempDir()
	main := mustParse(t, "hf:ORG/NAME")
	folder, _, err := h.user(t, cache).Fetch(t.Context(), main, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(cache, "models--ORG--NAME/.files")); err != nil {
		t.Fatal(err)
	}
	off := h.user(t, cache, func(o *Options) { o.Offline = true })
	put(t, filepath.Join(cache, "models--ORG--NAME/.files", commitA+".json"), "{damaged")
	if _, _, err := off.Fetch(t.Context(), main, nil); err != nil || !off.logged("does not say which files") {
		t.Errorf("%v; log %q", err, off.lines)
	}
	if err := os.Remove(filepath.Join(folder, "model-00002-of-00002.safetensors")); err != nil {
		t.Fatal(err)
	}
	_, _, err = off.Fetch(t.Context(), main, nil)
	wantError(t, err, "has no model-00002-of-00002.safetensors")
}

// The list of files that huggingface_hub notes serves as well.
func TestPythonsListing(t *testing.T) {
	h := newHub(t)
	cache := t.TempDir()
	u := h.user(t, cache)
	ref := mustParse(t, "hf:ORG/NAME@"+commitA)
	if _, _, err := u.Fetch(t.Context(), ref, nil); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(cache, "models--ORG--NAME")
	if err := os.RemoveAll(filepath.Join(root, ".files")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(root, "trees", commitA+".json"), `{"format_version": 1, "files": {
		"README.md": {"size": 8, "blob_id": "0"}, "config.json": {"size": 3, "blob_id": "0"}, "model-00001-of-00002.safetensors": {},
		"model-00002-of-00002.safetensors": {}, "model.safetensors.index.json": {}, "tokenizer.json": {}}}`)
	held, err := u.Look(ref, nil)
	if err != nil || !held.Complete() || !slices.Equal(held.Files, wantedOfModel) {
		t.Errorf("held %+v, %v", held, err)
	}
	h.reset()
	if _, _, err := u.Fetch(t.Context(), ref, nil); err != nil || len(h.requests) != 0 {
		t.Errorf("%v; requests %q", err, h.requests)
	}
	put(t, filepath.Join(root, "trees", commitA+".json"), `{"format_version": 1, "files": {"config.json": {}, "pytorch_model.bin": {}}}`)
	_, err = u.Look(ref, nil)
	wantError(t, err, "safetensors are needed")
	_, _, err = u.Fetch(t.Context(), ref, nil)
	wantError(t, err, "safetensors are needed")
}

func TestLookSays(t *testing.T) {
	for _, test := range []struct {
		held Held
		want string
	}{
		{Held{}, "not in the cache, to be downloaded"},
		{Held{Commit: commitA, Files: []string{"a"}, Listed: true}, "commit aaaaaaaa in the cache, complete with 1 files"},
		{Held{Commit: commitA, Files: []string{"a"}}, "commit aaaaaaaa in the cache with 1 files; whether there are more is to be asked"},
		{Held{Commit: commitA, Files: []string{"a"}, Missing: []string{"b", "c"}, Listed: true},
			"commit aaaaaaaa in the cache with 1 of its files; to be downloaded: b, c"},
	} {
		if got := test.held.String(); got != test.want {
			t.Errorf("%+v: %q, want %q", test.held, got, test.want)
		}
	}
}

// A hub out of reach is no obstacle where the cache has all of what the branch last stood for; the log tells.
func TestUnreachable(t *testing.T) {
	h := newHub(t)
	cache := t.TempDir()
	main := mustParse(t, "hf:ORG/NAME")
	folder, _, err := h.user(t, cache).Fetch(t.Context(), main, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.hub.Close()
	u := h.user(t, cache)
	got, commit, err := u.Fetch(t.Context(), main, nil)
	if err != nil || got != folder || commit != commitA || !u.logged("using commit "+commitA) {
		t.Errorf("%s at %s, %v; log %q", commit, got, err, u.lines)
	}
	_, _, err = h.user(t, t.TempDir()).Fetch(t.Context(), main, nil)
	wantError(t, err, "connection refused", "given up after 5 tries", "HF_ENDPOINT", "what has come so far is kept")
}

func put(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
