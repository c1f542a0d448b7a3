package table

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Read returns the rows of one table of a run, done or still going (then up to its last Commit), in order of step.
// It needs no lock. A run without that table (no evaluation, no rollouts) gives fs.ErrNotExist.
func Read[R Row](dir string) ([]R, error) {
	rows, err := readTable[R](dir)
	if errors.Is(err, errGone) {
		// Finish has merged the parts since the manifest was read; the new one names the table.
		rows, err = readTable[R](dir)
	}
	return rows, err
}

// remedy is what to do about a file that is not what was written.
const remedy = "restore the file, or delete the run folder and run the experiment again"

// errGone says that a listed file is missing. It is not fs.ErrNotExist: that means a table the run never had.
var errGone = errors.New("the file is missing")

func readTable[R Row](dir string) ([]R, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	files := partsOf(Name[R](), m.Tables)
	if len(files) == 0 {
		files = partsOf(Name[R](), m.Parts)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no %s table: %w", dir, Name[R](), fs.ErrNotExist)
	}
	var rows []R
	for _, f := range files {
		more, err := readRows[R](dir, f)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s: %w; %s", filepath.Join(dir, f.Path), errGone, remedy)
		}
		if err != nil {
			return nil, fmt.Errorf("%w; %s", err, remedy)
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// readRows reads one listed file.
func readRows[R Row](dir string, f File) ([]R, error) {
	data, err := readFile(dir, f)
	if err != nil {
		return nil, err
	}
	rows, err := decode[R](data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, f.Path), err)
	}
	return rows, nil
}

// readFile returns the bytes of a listed file, the same that were written.
func readFile(dir string, f File) ([]byte, error) {
	path := filepath.Join(dir, filepath.FromSlash(f.Path))
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read table: %w", err)
	}
	if len(data) != int(f.Bytes) {
		return nil, fmt.Errorf("%s: %d bytes, %d were written: truncated or altered", path, len(data), f.Bytes)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, fmt.Errorf("%s: sha256 differs from the manifest: altered or damaged", path)
	}
	return data, nil
}

// Origin is where one value of the resolved spec comes from.
type Origin struct {
	Value   json.RawMessage `json:"value"`   // canonical JSON: equal values have equal text
	Writers []string        `json:"writers"` // file:line:col, the one that counts first; empty = the schema's default
	Rule    string          `json:"rule"`    // file:line:col of the schema's field, which holds constraint and default
}

// Provenance is provenance.json: every value of the resolved spec by path (grpo.learning_rate), defaults included.
type Provenance map[string]Origin

// ProvenanceFile is the name to give WriteFile for a Provenance.
const ProvenanceFile = "provenance.json"

// ReadProvenance reads provenance.json of a run.
func ReadProvenance(dir string) (Provenance, error) {
	path := filepath.Join(dir, ProvenanceFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read provenance: %w", err)
	}
	var p Provenance
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("%s: %w; %s", path, err, remedy)
	}
	return p, nil
}
