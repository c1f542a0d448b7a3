package hub

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, test := range []struct{ ref, repo, revision, want string }{
		{ref: "hf:Qwen/Qwen2.5-VL-3B-Instruct", repo: "Qwen/Qwen2.5-VL-3B-Instruct", revision: "main"},
		{ref: "hf:gpt2", repo: "gpt2", revision: "main"},
		{ref: "hf:a/b@v1.0", repo: "a/b", revision: "v1.0"},
		{ref: "hf:a/b@refs/pr/3", repo: "a/b", revision: "refs/pr/3"},
		{ref: "hf:_a/b_c.d-e@" + commitA, repo: "_a/b_c.d-e", revision: commitA},
		{ref: "Qwen/Qwen2", want: "does not begin with hf:"},
		{ref: "hf:", want: "the repository is not named"},
		{ref: "hf:@main", want: "the repository is not named"},
		{ref: "hf:a/b@", want: "nothing behind @"},
		{ref: "hf:datasets/a/b", want: "has one slash, datasets/a/b has 2"},
		{ref: "hf://a/b", want: "no // before its name"},
		{ref: "hf:https://huggingface.co/a/b", want: "no // before its name"},
		{ref: "hf:a/", want: `"" is no name`},
		{ref: "hf:../b", want: ".. in its name"},
		{ref: "hf:a--b/c", want: "--"},
		{ref: "hf:a/b.git", want: ".git"},
		{ref: "hf:a/.b", want: `".b" is no name`},
		{ref: "hf:a/b-", want: `"b-" is no name`},
		{ref: "hf:a/b c", want: `"b c" is no name`},
		{ref: "hf:a/caf\u00e9", want: "is no name"},
		{ref: "hf:a/" + strings.Repeat("x", 97), want: "is no name"},
		{ref: "hf:a/b@../../x", want: "no plain relative path"},
		{ref: "hf:a/b@/x", want: "no plain relative path"},
		{ref: "hf:a/b@x//y", want: "no plain relative path"},
		{ref: `hf:a/b@x\y`, want: "backslash"},
		{ref: "hf:a/b@x\ny", want: "control"},
		{ref: "hf:a/b@x y", want: "which no revision has"},
		{ref: "hf:a/b@x@y", want: "which no revision has"},
	} {
		got, err := Parse(test.ref)
		if test.want != "" {
			wantError(t, err, test.want, example)
			continue
		}
		if err != nil || got != (Ref{test.repo, test.revision}) {
			t.Errorf("%s: %+v, %v", test.ref, got, err)
		}
		if again, err := Parse(got.String()); err != nil || again != got {
			t.Errorf("%s reads as %+v, %v", got, again, err)
		}
		if got.Pinned() != (test.revision == commitA) {
			t.Errorf("%s: pinned is %v", test.ref, got.Pinned())
		}
	}
}
