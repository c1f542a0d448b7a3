package cli_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"mixr/runtime/cli"
	"mixr/runtime/ort/fetch"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"mixr": func() { os.Exit(cli.Main(context.Background(), os.Stdout, os.Stderr, os.Args[1:])) },
	})
}

// TestScripts runs testdata/script/*.txtar: command lines with what they print and their exit status. Each starts in a folder
// with the files of testdata/tiny. MIXR_UPDATE=1 rewrites the files that cmp compares with; read the diff.
func TestScripts(t *testing.T) {
	lib := library(t)
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		UpdateScripts:      os.Getenv("MIXR_UPDATE") != "",
		RequireUniqueNames: true,
		Cmds:               map[string]func(*testscript.TestScript, bool, []string){"mixr-status": mixrStatus},
		Setup: func(env *testscript.Env) error {
			env.Setenv("MIXR_ORT_LIB", lib)
			env.Setenv("MIXR_WORKERS", "2")
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, "cache"))
			return makeTiny(env.WorkDir)
		},
	})
}

// mixrStatus is the script command "mixr-status N ARGS...": mixr ends with exit status N.
func mixrStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mixr-status N ARGS...")
	}
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec("mixr", args[1:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("mixr: %v", err)
	}
	if want := args[0]; strconv.Itoa(got) != want {
		ts.Fatalf("exit status %d, want %s", got, want)
	}
}

// library is the ONNX Runtime to test with, found or fetched as the product does.
func library(t *testing.T) string {
	t.Helper()
	lib, err := fetch.Find(t.Context(), fetch.Options{Lib: os.Getenv("MIXR_ORT_LIB"), Log: func(line string) { t.Log(line) }})
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// makeTiny fills a folder with experiments of a policy so small that they run in under a second. Its tokenizer is that of the
// shipped nano policy.
func makeTiny(dir string) error {
	if err := os.CopyFS(dir, os.DirFS("testdata/tiny")); err != nil {
		return err
	}
	tokenizer, err := os.ReadFile("../../experiments/policies/nano/tokenizer.json")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "policy", "tokenizer.json"), tokenizer, 0o644)
}
