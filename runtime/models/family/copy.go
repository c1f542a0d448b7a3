package family

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// beside are the endings of the files that make a folder a policy beside its weights: configurations, tokenizer, chat template, and the
// code of classes that transformers itself does not have.
var beside = []string{".json", ".jinja", ".txt", ".model", ".py"}

// CopyFiles copies everything but the weights of a policy's folder into another, with licences, and writes the type of the weights
// there, F32 or BF16, into config.json.
func CopyFiles(from, to, dtype string) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := f.Name()
		licence := strings.HasPrefix(name, "LICENSE") || strings.HasPrefix(name, "NOTICE")
		switch {
		case !licence && !slices.Contains(beside, filepath.Ext(name)), strings.HasSuffix(name, ".index.json"), strings.HasPrefix(name, "adapter_"):
			continue
		}
		text, err := os.ReadFile(filepath.Join(from, name)) // follows the links of the hub's cache
		if err != nil {
			return err
		}
		if name == "config.json" {
			if text, err = setDType(text, dtype); err != nil {
				return fmt.Errorf("%s: %w", filepath.Join(from, name), err)
			}
		}
		if err := os.WriteFile(filepath.Join(to, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// dtypes are the names of stored types in config.json.
var dtypes = map[string]string{"F32": "float32", "BF16": "bfloat16"}

// dtypeField is the type of weights in config.json, of the whole model or one side of it; torch_dtype until transformers 5.
var dtypeField = regexp.MustCompile(`("(?:torch_)?dtype"\s*:\s*)(?:"[^"]*"|null)`)

// setDType changes the type that config.json says, everything else staying as it is, byte for byte.
func setDType(text []byte, dtype string) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	name := dtypes[dtype]
	out := dtypeField.ReplaceAllString(string(text), `${1}"`+name+`"`)
	if fields["torch_dtype"] == nil && fields["dtype"] == nil {
		out = strings.Replace(out, "{", fmt.Sprintf("{\n  \"torch_dtype\": %q,", name), 1)
	}
	return []byte(out), nil
}
