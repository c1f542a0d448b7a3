package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Environment reads the variables by which Hugging Face's own tools are set, with their meaning and precedence
// (huggingface_hub/constants.py), so that all tools of a machine share one cache and one token:
//
//	Endpoint  HF_ENDPOINT
//	Cache     HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub
//	Token     HF_TOKEN, HUGGING_FACE_HUB_TOKEN, the file HF_TOKEN_PATH, the file HF_HOME/token (of hf auth login);
//	          none with HF_HUB_DISABLE_IMPLICIT_TOKEN
//	Offline   HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE
//
// An empty variable counts as one that is not set.
func Environment(getenv func(string) string) (Options, error) {
	first := func(names ...string) string {
		for _, name := range names {
			if v := getenv(name); v != "" {
				return v
			}
		}
		return ""
	}
	home, err := hubHome(getenv)
	if err != nil {
		return Options{}, err
	}
	o := Options{
		Endpoint: getenv("HF_ENDPOINT"),
		Cache:    filepath.Join(home, "hub"),
		Offline:  isTrue(first("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")),
	}
	if dir := first("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"); dir != "" {
		if o.Cache, err = expand(dir, getenv); err != nil {
			return Options{}, err
		}
	}
	if isTrue(getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		return o, nil
	}
	if o.Token = cleanToken(first("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")); o.Token != "" {
		return o, nil
	}
	file := filepath.Join(home, "token")
	if f := getenv("HF_TOKEN_PATH"); f != "" {
		if file, err = expand(f, getenv); err != nil {
			return Options{}, err
		}
	}
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Options{}, fmt.Errorf("read the Hugging Face token: %w (hint: correct it, or set HF_TOKEN)", err)
	}
	o.Token = cleanToken(string(text))
	return o, nil
}

// hubHome is the folder in which Hugging Face's tools keep what is theirs.
func hubHome(getenv func(string) string) (string, error) {
	dir := getenv("HF_HOME")
	if dir == "" {
		if dir = getenv("XDG_CACHE_HOME"); dir == "" {
			dir = "~/.cache"
		}
		dir = filepath.Join(dir, "huggingface")
	}
	return expand(dir, getenv)
}

// expand replaces ~ at the beginning and $VARIABLES that are set.
func expand(dir string, getenv func(string) string) (string, error) {
	if rest, ok := strings.CutPrefix(dir, "~"); ok && (rest == "" || rest[0] == '/') {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("no home folder for %s: %w (hint: set HF_HOME)", dir, err)
		}
		dir = home + rest
	}
	return os.Expand(dir, func(name string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return "$" + name
	}), nil
}

func isTrue(v string) bool {
	return slices.Contains([]string{"1", "ON", "YES", "TRUE"}, strings.ToUpper(v))
}

func cleanToken(s string) string {
	return strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(s))
}
