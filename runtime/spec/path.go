package spec

import (
	"os"
	"path/filepath"
	"strings"
)

// join appends a key to a path of the experiment. Keys that hold a dot are not written with quotes: the schema has none,
// and names of sources cannot have one.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func split(path string) []string { return strings.Split(path, ".") }

// parent returns the path of the struct that holds path, "" at the top.
func parent(path string) string {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)]
}

// shown is a file's name as printed: relative to the working directory if it lies below it.
func shown(file string) string {
	wd, err := os.Getwd()
	if err != nil || !filepath.IsAbs(file) {
		return file
	}
	if rel, err := filepath.Rel(wd, file); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return file
}

// fileAt is the position of a file as a whole.
func fileAt(file string) Pos {
	if abs, err := filepath.Abs(file); err == nil {
		file = abs
	}
	return Pos{File: shown(file)}
}
