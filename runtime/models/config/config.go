// Package config reads the config.json of a checkpoint for the model packages, and collects all mistakes in it.
package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Load parses config.json in dir. Errors begin with the package that asks and name the file.
func Load[C any](pkg, dir string, parse func(b []byte) (*C, error)) (*C, error) {
	path := filepath.Join(dir, "config.json")
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pkg, err)
	}
	c, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", pkg, path, err)
	}
	return c, nil
}

// Mistakes of a file, in the order in which they were found.
type Mistakes struct{ errs []error }

// Want notes a mistake unless ok, and returns ok. The message names the field, what it has and what it should have.
func (m *Mistakes) Want(ok bool, format string, args ...any) bool {
	if !ok {
		m.errs = append(m.errs, fmt.Errorf(format, args...))
	}
	return ok
}

// Positive wants n > 0 of a field.
func (m *Mistakes) Positive(field string, n int) bool {
	return m.Want(n > 0, "%s: got %d, want > 0", field, n)
}

// Add notes err, if it is one.
func (m *Mistakes) Add(err error) {
	if err != nil {
		m.errs = append(m.errs, err)
	}
}

// Err lists all mistakes, one a line; nil if there are none.
func (m *Mistakes) Err() error { return errors.Join(m.errs...) }
