package hub

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// modelFiles are what a model folder is read from, beside its *.safetensors.
var modelFiles = []string{
	"added_tokens.json", "chat_template.jinja", "chat_template.json", "config.json", "generation_config.json", "merges.txt",
	"model.safetensors.index.json", "preprocessor_config.json", "processor_config.json", "special_tokens_map.json", "tokenizer.json",
	"tokenizer.model", "tokenizer_config.json", "vocab.json",
}

// ModelFiles reports whether a model folder needs the file: weights as safetensors, configurations, tokenizer and chat
// template. Files in subfolders (other formats, training states) are not needed.
func ModelFiles(name string) bool {
	return !strings.Contains(name, "/") && (path.Ext(name) == ".safetensors" || slices.Contains(modelFiles, name))
}

// pickles are the endings of weights whose loading runs code. They are never fetched, whoever wants them.
var pickles = []string{".bin", ".pkl", ".pt", ".pth"}

// otherWeights are the endings of further weights that are no safetensors.
var otherWeights = []string{".ckpt", ".gguf", ".h5", ".msgpack", ".onnx"}

// choose returns the files that are wanted of those that a repository has. A name that could lead out of the snapshot's
// folder is an error, and so is a repository without weights where weights are wanted.
func choose(all []string, want func(file string) bool) ([]string, error) {
	var chosen, others []string
	weights := false
	for _, name := range all {
		pickle := slices.Contains(pickles, path.Ext(name))
		if pickle || slices.Contains(otherWeights, path.Ext(name)) {
			others = append(others, name)
		}
		if pickle || !want(name) {
			continue
		}
		if err := checkPath(name); err != nil {
			return nil, fmt.Errorf("the hub lists a file with an unsafe name: %w", err)
		}
		weights = weights || path.Ext(name) == ".safetensors"
		chosen = append(chosen, name)
	}
	switch {
	case want("model.safetensors") && !weights && len(others) > 0:
		return nil, fmt.Errorf("it has no safetensors, only %s: safetensors are needed (hint: look for a converted copy on the hub, or "+
			"load it with transformers, save_pretrained it to a folder and give that folder)", some(others))
	case want("model.safetensors") && !weights:
		return nil, fmt.Errorf("it has no safetensors, so no weights that can be read; it has %s", some(all))
	case len(chosen) == 0:
		return nil, fmt.Errorf("it has none of the wanted files; it has %s", some(all))
	}
	slices.Sort(chosen)
	return slices.Compact(chosen), nil
}

// checkPath refuses a slash-separated path that is not plainly below the folder that it will be joined to.
func checkPath(name string) error {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("%q has control characters", name)
	}
	if strings.Contains(name, `\`) {
		return fmt.Errorf("%q has a backslash", name)
	}
	for p := range strings.SplitSeq(name, "/") {
		if p == "" || p == "." || p == ".." {
			return fmt.Errorf("%q is no plain relative path", name)
		}
	}
	return nil
}

// some lists a few names for an error.
func some(names []string) string {
	const few = 4
	switch {
	case len(names) == 0:
		return "no files"
	case len(names) > few:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}
