package weights

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Hash identifies the weights at path, a file or folder as for Open: the SHA-256, in hex, of one line
// "<SHA-256 of the file>  <file name>\n" for each safetensors file in alphabetical order, as sha256sum prints it. The index
// does not count: it says nothing that the files do not. It reads every byte, about a second for 1 GB.
func Hash(path string) (string, error) {
	files, _, err := locate(path)
	if err != nil {
		return "", fmt.Errorf("weights: hash: %w", err)
	}
	all := sha256.New()
	for _, file := range files {
		sum, err := HashFile(file)
		if err != nil {
			return "", fmt.Errorf("weights: hash %s: %w", file, err)
		}
		fmt.Fprintf(all, "%s  %s\n", sum, filepath.Base(file))
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}

// HashFile is the SHA-256 of one file's content, in hex.
func HashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
