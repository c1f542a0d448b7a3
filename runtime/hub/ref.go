package hub

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// scheme is how a reference begins.
const scheme = "hf:"

// example ends the errors about a reference that cannot be read.
const example = "want hf:ORG/NAME@REVISION, such as hf:Qwen/Qwen2.5-VL-3B-Instruct@main; a revision is a branch, a tag or a commit"

// Ref names a model repository at a revision, for example {Qwen/Qwen2.5-VL-3B-Instruct, main}.
type Ref struct {
	Repo     string // ORG/NAME, or NAME for the oldest repositories
	Revision string // branch, tag or commit
}

// String is the reference as Parse reads it.
func (r Ref) String() string { return scheme + r.Repo + "@" + r.Revision }

// Pinned reports whether the revision is a whole commit, which never changes.
func (r Ref) Pinned() bool { return isCommit(r.Revision) }

// Parse reads hf:ORG/NAME@REVISION. Without @REVISION it is the branch main.
func Parse(ref string) (Ref, error) {
	rest, ok := strings.CutPrefix(ref, scheme)
	if !ok {
		return Ref{}, fmt.Errorf("%q does not begin with %s: %s", ref, scheme, example)
	}
	repo, revision, at := strings.Cut(rest, "@")
	if !at {
		revision = "main"
	}
	if err := checkRepo(repo); err != nil {
		return Ref{}, fmt.Errorf("%q: %w: %s", ref, err, example)
	}
	if err := checkRevision(revision); err != nil {
		return Ref{}, fmt.Errorf("%q: %w: %s", ref, err, example)
	}
	return Ref{Repo: repo, Revision: revision}, nil
}

// The rules for names are those of huggingface_hub (utils/_validators.py): what it refuses has no folder in the cache either.
var repoPart = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?$`)

func checkRepo(repo string) error {
	parts := strings.Split(repo, "/")
	switch {
	case repo == "":
		return errors.New("the repository is not named")
	case strings.Contains(repo, "://") || strings.HasPrefix(repo, "/"):
		return errors.New("a repository has no // before its name")
	case len(parts) > 2:
		return fmt.Errorf("a model repository has one slash, %s has %d", repo, len(parts)-1)
	case strings.Contains(repo, "--") || strings.Contains(repo, "..") || strings.HasSuffix(repo, ".git"):
		return fmt.Errorf("no repository has -- or .. in its name or ends in .git, as %s does", repo)
	}
	for _, p := range parts {
		if !repoPart.MatchString(p) {
			return fmt.Errorf("%q is no name on the hub: 1 to 96 letters, digits, - _ and ., without - or . at an end", p)
		}
	}
	return nil
}

// checkRevision keeps to what git allows, which is also safe as a path below refs/.
func checkRevision(revision string) error {
	if revision == "" {
		return errors.New("there is nothing behind @")
	}
	if i := strings.IndexAny(revision, ` ~^:?*[@`); i >= 0 {
		return fmt.Errorf("%q has a %q, which no revision has", revision, revision[i])
	}
	if err := checkPath(revision); err != nil {
		return fmt.Errorf("revision %w", err)
	}
	return nil
}

// isCommit reports whether s is the name of a commit in full: 40 hexadecimal digits.
func isCommit(s string) bool { return len(s) == 40 && isHex(s) }

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
