package hub

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestRefusals holds what the hub says no with, and what the user then reads.
func TestRefusals(t *testing.T) {
	api := func(status int, code, message string) func(http.ResponseWriter, *http.Request, int) bool {
		return func(rw http.ResponseWriter, r *http.Request, _ int) bool {
			refuse(rw, status, code, message)
			return true
		}
	}
	atFile := func(method, file string, status int, code, message string) func(http.ResponseWriter, *http.Request, int) bool {
		return func(rw http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method != method || !strings.HasSuffix(r.URL.Path, file) {
				return false
			}
			refuse(rw, status, code, message)
			return true
		}
	}
	for _, test := range []struct {
		name, token, ref string
		fault            func(rw http.ResponseWriter, r *http.Request, call int) bool
		tries            int // requests of the kind that is refused
		want             []string
	}{
		{"nobody", "", "hf:ORG/NAME", api(401, "RepoNotFound", "Invalid username or password."), 1,
			[]string{"hub: hf:ORG/NAME@main: list its files: 401 Unauthorized: Invalid username",
				"no such repository, or it is private or gated", "HF_TOKEN", "/ORG/NAME"}},
		{"bad token", "hf_x", "hf:ORG/NAME", api(401, "", "Invalid credentials in Authorization header"), 1,
			[]string{"401", "Invalid credentials", "is not valid or may not read it"}},
		{"gated", "", "hf:ORG/NAME", atFile("HEAD", "/config.json", 401, "GatedRepo", "Access to model ORG/NAME is restricted."), 1,
			[]string{"config.json: 401 Unauthorized: Access to model", "gated: accept its terms at http://127.0.0.1", "set HF_TOKEN"}},
		{"gated, not accepted", "hf_x", "hf:ORG/NAME", atFile("HEAD", "/config.json", 403, "GatedRepo", "not in the authorized list"), 1,
			[]string{"403 Forbidden", "gated: accept its terms"}},
		{"forbidden", "hf_x", "hf:ORG/NAME", api(403, "", "fine-grained"), 1,
			[]string{"403 Forbidden: fine-grained", "set HF_TOKEN to a token that may read it"}},
		{"no repository", "hf_x", "hf:ORG/NAME", api(404, "RepoNotFound", "Repository not found"), 1, []string{"404", "no such repository"}},
		{"no revision", "", "hf:ORG/NAME@v9", nil, 1, []string{"404 Not Found: Invalid rev id: v9", "no branch, tag or commit v9"}},
		{"no file", "", "hf:ORG/NAME", atFile("HEAD", "/tokenizer.json", 404, "EntryNotFound", "Entry not found"), 1,
			[]string{"tokenizer.json: 404", "listed and not there"}},
		{"too often", "", "hf:ORG/NAME", api(429, "", ""), 5, []string{"given up after 5 tries: 429 Too Many Requests", "limits how often"}},
		{"ill", "", "hf:ORG/NAME", api(500, "", "Internal"), 5, []string{"given up after 5 tries: 500 Internal Server Error", "not well"}},
		{"no hub", "", "hf:ORG/NAME", func(rw http.ResponseWriter, r *http.Request, _ int) bool {
			_, _ = rw.Write([]byte("<html>Welcome to the hotel</html>"))
			return true
		}, 1, []string{"not a hub's", "HF_ENDPOINT is http://127"}},
		{"no commit", "", "hf:ORG/NAME", func(rw http.ResponseWriter, r *http.Request, _ int) bool {
			_, _ = rw.Write([]byte(`{"sha": "../../x", "siblings": []}`))
			return true
		}, 1, []string{`the commit is "../../x"`}},
		{"another commit", "", "hf:ORG/NAME@" + commitB, func(rw http.ResponseWriter, r *http.Request, _ int) bool {
			_, _ = rw.Write([]byte(`{"sha": "` + commitA + `", "siblings": []}`))
			return true
		}, 1, []string{"the commit is", commitA}},
		{"no hash", "", "hf:ORG/NAME", func(rw http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method != "HEAD" {
				return false
			}
			rw.Header().Set("ETag", `"../../../x"`)
			return true
		}, 0, []string{"no hash for it but the tag"}},
		{"terminal codes", "", "hf:ORG/NAME", api(404, "", "\u009b2Jgone"), 1, []string{"404 Not Found:  2Jgone"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHub(t)
			h.disturb(test.fault)
			u := h.user(t, t.TempDir(), func(o *Options) { o.Token = test.token })
			folder, _, err := u.Fetch(t.Context(), mustParse(t, test.ref), nil)
			wantError(t, err, test.want...)
			if folder != "" {
				t.Errorf("folder %q", folder)
			}
			if test.token != "" && strings.Contains(err.Error(), test.token) {
				t.Errorf("the token is in %q", err)
			}
			refused := h.count("GET /api/")
			if strings.Contains(test.name, "gated") || test.name == "no file" {
				refused = h.count("HEAD /ORG/NAME/resolve/" + commitA + "/" + strings.SplitN(test.want[0], ":", 2)[0])
			}
			if strings.HasPrefix(test.name, "gated, not") {
				refused = h.count("HEAD /ORG/NAME/resolve/" + commitA + "/config.json")
			}
			if test.tries > 0 && refused != test.tries {
				t.Errorf("%d tries, want %d: %q", refused, test.tries, h.requests)
			}
		})
	}
}

// A name from the hub never leads out of the snapshot.
func TestUnsafeName(t *testing.T) {
	h := newHub(t)
	h.listed = []string{"../../../../evil.safetensors"}
	u := h.user(t, t.TempDir())
	_, _, err := u.Fetch(t.Context(), mustParse(t, "hf:ORG/NAME"), func(string) bool { return true })
	wantError(t, err, "unsafe name")
	if got := tree(t, u.options.Cache); len(got) != 0 {
		t.Errorf("the cache has %q", got)
	}
}

func TestPicklesAlone(t *testing.T) {
	h := newHub(t)
	for name := range h.commits[commitA] {
		if strings.Contains(name, "safetensors") {
			delete(h.commits[commitA], name)
		}
	}
	_, _, err := h.user(t, t.TempDir()).Fetch(t.Context(), mustParse(t, "hf:ORG/NAME"), nil)
	wantError(t, err, "hf:ORG/NAME@main", "only pytorch_model.bin: safetensors are needed")
	if h.count("HEAD") != 0 {
		t.Errorf("requests %q", h.requests)
	}
}

// The token reaches the hub and not the storage, although both are on one host here: net/http itself would not tell two ports
// apart. A renamed repository is followed, with the token.
func TestToken(t *testing.T) {
	h := newHub(t)
	h.token = "hf_secret"
	h.disturb(func(rw http.ResponseWriter, r *http.Request, _ int) bool {
		old := strings.Contains(r.URL.Path, "OLD/NAME")
		if old {
			http.Redirect(rw, r, strings.Replace(r.URL.Path, "OLD/NAME", "ORG/NAME", 1), http.StatusTemporaryRedirect)
		}
		return old
	})
	u := h.user(t, t.TempDir(), func(o *Options) { o.Token = "hf_secret" })
	for _, ref := range []string{"hf:ORG/NAME", "hf:OLD/NAME"} {
		folder, _, err := u.Fetch(t.Context(), mustParse(t, ref), nil)
		if err != nil {
			t.Fatal(err)
		}
		wantModel(t, folder, h.commits[commitA])
	}
	if h.count("GET /"+etagOf(h.commits[commitA][shard])) != 2 {
		t.Error("the storage was not asked for each repository")
	}
	if len(h.leaked) != 0 {
		t.Errorf("the storage got the token: %q", h.leaked)
	}
	if u.logged("hf_secret") || u.logged("signature") {
		t.Errorf("a secret is in the log %q", u.lines)
	}
}

// Retry-After is kept to, and cancelling ends the wait.
func TestWaits(t *testing.T) {
	h := newHub(t)
	h.disturb(func(rw http.ResponseWriter, r *http.Request, call int) bool {
		rw.Header().Set("Retry-After", "120")
		rw.WriteHeader(http.StatusTooManyRequests)
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	u := h.user(t, t.TempDir())
	_, _, err := u.Fetch(ctx, mustParse(t, "hf:ORG/NAME"), nil)
	wantError(t, err, "deadline exceeded")
	if !u.logged("trying again in 2m0s") || h.count("GET") != 1 {
		t.Errorf("log %q, requests %q", u.lines, h.requests)
	}
}
