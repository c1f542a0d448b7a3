package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"mixr/runtime/spec"
	"mixr/runtime/table"
	"mixr/runtime/train"
)

// policyNames is how commands describe RUN|MODEL in their help.
const policyNames = `The policy is what a finished run left, named as for mixr show, or a model: a folder in Hugging Face
layout, or hf:ORG/NAME@REVISION.`

// findPolicy is what a name means: a repository of the hub or the folder of a model as it stands, else the policy of a finished run, and
// that run's folder.
func (a *app) findPolicy(name string) (from, run string, err error) {
	if strings.HasPrefix(name, "hf:") {
		return name, "", nil
	}
	if _, err := os.Stat(filepath.Join(name, "config.json")); err == nil {
		return name, "", nil
	}
	if _, err := table.ReadManifest(name); err != nil && isDir(name) && strings.ContainsRune(name, filepath.Separator) {
		return "", "", usagef("%s is neither a model nor a run: it has no config.json and no run.json", name)
	}
	if run, err = a.findRun(name); err != nil {
		return "", "", err
	}
	m, err := table.ReadManifest(run)
	switch {
	case err != nil:
		return "", "", err
	case m.Stage == "eval":
		return "", "", usagef("%s only evaluates and has no policy of its own: name the one that it evaluates", run)
	case !m.Status.Complete():
		return "", "", usagef("%s is not done (%s): run its experiment again to finish it", run, m.Status)
	}
	return filepath.Join(run, train.PolicyFolder), run, nil
}

// policyFolder is findPolicy with repositories of the hub fetched.
func (a *app) policyFolder(ctx context.Context, name string, watch *screen) (dir, run string, err error) {
	from, run, err := a.findPolicy(name)
	if err == nil && strings.HasPrefix(from, "hf:") {
		from, err = fetched(ctx, watch)(from)
	}
	return from, run, err
}

// schemaNumber is the schema's default of a whole number.
func schemaNumber(path string) (n int) {
	if _, err := fmt.Sscan(spec.Default(path), &n); err != nil {
		panic(fmt.Errorf("schema: %s has no default: %w", path, err)) // a test reads it
	}
	return n
}
