package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// Each file of testdata/bad is one broken spec: a sentence, optionally "path: FILE" and "set: OVERRIDE" lines, the files,
// and the diagnostics that loading x.cue must give. MIXR_UPDATE=1 rewrites the latter; read the difference.
func TestBadSpecs(t *testing.T) {
	cases, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(cases) < 30 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, file := range cases {
		file, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(workspace(t))
			path, overrides := "x.cue", []string(nil)
			for line := range strings.Lines(string(archive.Comment)) {
				if p, ok := strings.CutPrefix(line, "path: "); ok {
					path = strings.TrimSpace(p)
				} else if o, ok := strings.CutPrefix(line, "set: "); ok {
					overrides = append(overrides, strings.TrimSpace(o))
				}
			}
			want := len(archive.Files) - 1
			for _, f := range archive.Files[:want] {
				write(t, f.Name, string(f.Data))
			}
			f, diagnostics := Load(path, overrides)
			if diagnostics == nil || f != nil {
				t.Fatalf("loads as %v, want mistakes", f)
			}
			got := diagnostics.Error() + "\n"
			if os.Getenv("MIXR_UPDATE") == "1" {
				archive.Files[want].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(archive.Files[want].Data) {
				t.Errorf("got:\n%s\nwant:\n%s", got, archive.Files[want].Data)
			}
		})
	}
}

// workspace is a folder with a policy and a card, and no CUE module above it.
func workspace(t *testing.T) string {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "policy", "config.json"), "{}")
	write(t, filepath.Join(dir, "card.cue"), "")
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
