package runtime_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mixr/runtime/cli"
	"mixr/runtime/spec"
)

// pages are the pages that people read, from runtime/.
var pages = []string{
	"../README.md", "../THIRD_PARTY.md", "../bench/README.md", "../datasets/README.md", "../datasets/nlvr/README.md",
	"../experiments/README.md", "../experiments/policies/nano/README.md", "../results/README.md", "README.md",
}

// Every complete experiment in README.md loads, and the mistakes that the page shows are those of the first with two slips.
// The first line of an experiment says where it would stand.
func TestReadmeExperiments(t *testing.T) {
	project := t.TempDir()
	if err := os.Mkdir(filepath.Join(project, "experiments"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"cue.mod", "datasets", "experiments/policies"} { // beside the file, as in this repository
		real, err := filepath.Abs(filepath.Join("..", folder))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(real, filepath.Join(project, folder)); err != nil {
			t.Fatal(err)
		}
	}
	readme, files := page(t, "../README.md"), readmeExperiments(t)
	if len(files) < 2 {
		t.Errorf("README.md has %d experiments, want one and a study", len(files))
	}
	for name, text := range files {
		path := filepath.Join(project, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, mistakes := spec.Load(path, nil); len(mistakes) > 0 {
			t.Errorf("README.md: %v", mistakes)
		}
	}

	t.Chdir(project) // positions are relative to the working folder
	const shown = "experiments/boxes.cue"
	slips := strings.NewReplacer(`"chart"`, `"charts"`, "learning_rate:", "learning_rat:").Replace(files[shown])
	if err := os.WriteFile(shown, []byte(slips), 0o644); err != nil {
		t.Fatal(err)
	}
	_, mistakes := spec.Load(shown, nil)
	if !strings.Contains(readme, "```text\n"+mistakes.Error()+"\n```") {
		t.Errorf("README.md should show these mistakes:\n%v", mistakes)
	}
}

// Every recipe of experiments/README.md is a legal quickstart.
func TestRecipes(t *testing.T) {
	_, section, _ := strings.Cut(page(t, "../experiments/README.md"), "## Recipes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	fields := regexp.MustCompile("`(rewards[^`]*)`|`([^`]*=[^`]*)`")
	n := 0
	for _, line := range strings.Split(section, "\n") {
		var sets []string
		for _, m := range fields.FindAllStringSubmatch(line, -1) {
			if m[1] != "" {
				sets = append(sets, m[1])
			}
			for _, set := range strings.Fields(m[2]) {
				sets = append(sets, "grpo."+set)
			}
		}
		if len(sets) == 0 {
			continue
		}
		n++
		if _, mistakes := spec.Load("../experiments/quickstart.cue", sets); len(mistakes) > 0 {
			t.Errorf("%s\n%v", line, mistakes)
		}
	}
	if n < 10 {
		t.Errorf("found %d recipes", n)
	}
}

// readmeExperiments are the cue blocks of README.md by the name on their first line.
func readmeExperiments(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)```cue\n(// (\\S+\\.cue)\n.*?)```").FindAllStringSubmatch(page(t, "../README.md"), -1) {
		files[m[2]] = m[1]
	}
	if blocks := strings.Count(page(t, "../README.md"), "```cue\n"); blocks != len(files) {
		t.Errorf("README.md has %d cue blocks, %d of which begin with // FILE.cue", blocks, len(files))
	}
	return files
}

// What the pages tell people to type exists: commands and flags of mixr, recipes of the justfile, files.
func TestReadmeCommands(t *testing.T) {
	recipes := regexp.MustCompile(`(?m)^([a-z]+)\b[^:=\n]*:`).FindAllStringSubmatch(page(t, "../justfile"), -1)
	if len(recipes) == 0 || len(recipes) > 10 {
		t.Errorf("the justfile has %d recipes, want 1 to 10", len(recipes))
	}
	own := readmeExperiments(t)
	seen := 0
	for _, p := range pages {
		for _, line := range typed(page(t, p)) {
			words := strings.Fields(strings.Replace(line, "go run . ", "mixr ", 1))
			if len(words) > 1 && words[0] == "mixr" && words[1] != "help" {
				seen++
				for _, problem := range holdToHelp(t, words[1:]) {
					t.Errorf("%s: %q: %s", p, line, problem)
				}
			}
			if len(words) > 1 && words[0] == "just" && !slices.ContainsFunc(recipes, func(r []string) bool { return r[1] == words[1] }) {
				t.Errorf("%s: %q: the justfile has no such recipe", p, line)
			}
			for _, word := range words {
				if file, ok := repositoryFile(word); ok && own[file] == "" {
					if found, err := filepath.Glob(filepath.Join("..", file)); err != nil || len(found) == 0 {
						t.Errorf("%s: %q: there is no %s", p, line, file)
					}
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d commands of mixr were seen", seen)
	}
}

// typed lists what a page says to type: the lines of its sh blocks and its inline code, without comments and variables.
func typed(page string) (lines []string) {
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(page, -1) {
		lines = append(lines, strings.Split(m[1], "\n")...)
	}
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(page, -1) {
		lines = append(lines, m[1])
	}
	for i, line := range lines {
		line, _, _ = strings.Cut(line, " #")
		lines[i] = regexp.MustCompile(`^([A-Z_]+=\S+ +)+`).ReplaceAllString(strings.TrimSpace(line), "")
	}
	return slices.DeleteFunc(lines, func(line string) bool { return line == "" })
}

// holdToHelp compares a command line of mixr with the help of the command.
func holdToHelp(t *testing.T, words []string) (problems []string) {
	var out, errOut strings.Builder
	if status := cli.Main(t.Context(), &out, &errOut, []string{words[0], "--help"}); status != 0 {
		return []string{fmt.Sprintf("mixr %s --help: status %d: %s", words[0], status, &errOut)}
	}
	if !strings.Contains(out.String(), "\n  mixr "+words[0]) {
		return []string{"mixr has no such command"}
	}
	for _, word := range words[1:] {
		if flag, _, _ := strings.Cut(word, "="); strings.HasPrefix(flag, "--") && !strings.Contains(out.String(), " "+flag+" ") {
			problems = append(problems, "mixr "+words[0]+" has no flag "+flag)
		}
	}
	return problems
}

// repositoryFile is the file, folder or pattern of the repository that a word names from the root, if it does.
func repositoryFile(word string) (string, bool) {
	word = strings.TrimSuffix(strings.TrimPrefix(word, "./"), "/...")
	word, _, _ = strings.Cut(word, "#")
	return word, regexp.MustCompile(`^(experiments|datasets|bench|schema|runtime)/[\w./*-]+$`).MatchString(word)
}

// Links between pages, and to files, lead somewhere.
func TestLinks(t *testing.T) {
	for _, p := range pages {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(page(t, p), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(p), target)); err != nil {
				t.Errorf("%s links to %s: %v", p, m[1], err)
			}
		}
	}
}

// THIRD_PARTY.md lists the modules that go.mod requires directly, with their versions, and no other.
func TestThirdParty(t *testing.T) {
	want := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) (v\S+)$`).FindAllStringSubmatch(page(t, "../go.mod"), -1) {
		want[m[1]] = m[2] // lines with // indirect do not match
	}
	_, table, _ := strings.Cut(page(t, "../THIRD_PARTY.md"), "| module | version | licence |")
	got := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\S+) \| (v\S+) \| \S+ \|$`).FindAllStringSubmatch(table, -1) {
		got[m[1]] = m[2]
	}
	if !maps.Equal(got, want) {
		t.Errorf("THIRD_PARTY.md lists %v, go.mod requires %v: read the licence of what is new", got, want)
	}
}
