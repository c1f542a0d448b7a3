package weights

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

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

// Hash identifies the weights at path, a file or folder as for Open: the SHA-256, in hex, of one line
// "<SHA-256 of the file>  <file name>\n" for each safetensors file in alphabetical order, as sha256sum prints it. The index
// does not count: it says nothing that the files do not. Files that the cache does not know are read whole, several at the same time
// (bench/loading measures it).
func (c *SumCache) Hash(path string) (string, error) {
	files, index, err := locate(path)
	if err == nil {
		err = missing(files, index)
	}
	if err != nil {
		return "", fmt.Errorf("weights: hash: %w", err)
	}
	sums, errs := make([]string, len(files)), make([]error, len(files))
	free := make(chan struct{}, runtime.GOMAXPROCS(0))
	var group sync.WaitGroup
	for i, file := range files {
		free <- struct{}{}
		group.Go(func() {
			sums[i], errs[i] = c.HashFile(file)
			<-free
		})
	}
	group.Wait()
	all := sha256.New()
	for i, file := range files {
		if errs[i] != nil {
			return "", fmt.Errorf("weights: hash %s: %w", file, errs[i])
		}
		fmt.Fprintf(all, "%s  %s\n", sums[i], filepath.Base(file))
	}
	return hex.EncodeToString(all.Sum(nil)), nil
}
