package table

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// Folders below a run folder.
const (
	tmpDir        = ".writing" // files not whole yet; never read, emptied by Open
	partsDir      = "parts"
	checkpointDir = "checkpoints"
)

// replace writes a file of the run folder so that it is whole or absent: into .writing/, synced, renamed, and the folder
// entry synced. path is absolute or relative to the working directory, and below dir. It returns the size and the
// sha256 of what was written.
func replace(dir, path string, fill func(io.Writer) error) (size int64, sha string, err error) {
	tmp := filepath.Join(dir, tmpDir)
	for _, d := range []string{tmp, filepath.Dir(path)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return 0, "", fmt.Errorf("write %s: %w", path, err)
		}
	}
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(tmp), renameio.WithPermissions(0o644))
	if err != nil {
		return 0, "", fmt.Errorf("write %s: %w", path, err)
	}
	defer f.Cleanup() // nothing left to do after the rename
	w := &meter{w: f, sum: sha256.New()}
	if err := fill(w); err != nil {
		return 0, "", fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.CloseAtomicallyReplace(); err != nil {
		return 0, "", fmt.Errorf("write %s: %w", path, err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return 0, "", fmt.Errorf("write %s: %w", path, err)
	}
	return w.size, hex.EncodeToString(w.sum.Sum(nil)), nil
}

// meter counts and hashes what passes.
type meter struct {
	w    io.Writer
	sum  hash.Hash
	size int64
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.sum.Write(p[:n])
	m.size += int64(n)
	return n, err
}

// syncDir makes renames and removals in a folder survive a power cut.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
