package weights

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"
)

// WriteSharded stores tensors in dir, which must exist, as the Hugging Face libraries do: as model.safetensors if their data fits
// into maxShardBytes, otherwise as model-00001-of-0000N.safetensors and so on with model.safetensors.index.json. A tensor is never
// split, so one that is larger has a file of its own and exceeds the limit. Types, metadata and rounding are as for Write, and like
// there the order of the tensors does not show.
//
// Weights that were in dir are replaced. At no time does the folder open with some tensors old and others new: every new file is
// complete and on disk before the first takes its name, the index comes last, and until then a folder without model.safetensors is
// refused by Open. On an error before that the old weights stay.
func WriteSharded(dir string, tensors []Tensor, dtype string, maxShardBytes int64, metadata map[string]string) error {
	if err := writeSharded(dir, tensors, dtype, maxShardBytes, metadata); err != nil {
		return fmt.Errorf("weights: write %s: %w", dir, err)
	}
	return nil
}

func writeSharded(dir string, tensors []Tensor, dtype string, maxShardBytes int64, metadata map[string]string) error {
	if maxShardBytes <= 0 {
		return fmt.Errorf("files of at most %d bytes, want more than 0", maxShardBytes)
	}
	tensors = slices.SortedFunc(slices.Values(tensors), byName)
	// The header of all is built for its checks alone: a name given twice may fall into two files.
	if _, err := buildHeader(tensors, dtype, metadata); err != nil {
		return err
	}
	shards := split(tensors, int64(width[dtype]), maxShardBytes)
	var list shardIndex
	list.WeightMap = map[string]string{}
	names := make([]string, len(shards))
	for i, shard := range shards {
		names[i] = fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, len(shards))
		for _, t := range shard {
			list.WeightMap[t.Name] = names[i]
			list.Metadata.TotalSize += int64(width[dtype]) * int64(t.count())
		}
	}
	if len(shards) == 1 {
		names = []string{singleFile}
	}
	old, err := stale(dir, names)
	if err != nil {
		return err
	}

	files := make([]*renameio.PendingFile, len(shards))
	for i, shard := range shards {
		if files[i], err = pending(filepath.Join(dir, names[i]), shard, dtype, metadata, io.Discard); err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
		defer files[i].Cleanup() // a no-op after the replacement
		if err := files[i].Sync(); err != nil {
			return err
		}
	}
	if len(shards) > 1 { // the old index must not meet a new file of an old name
		if err := remove(dir, indexFile); err != nil {
			return err
		}
	}
	for _, f := range files {
		if err := f.CloseAtomicallyReplace(); err != nil {
			return err
		}
	}
	if len(shards) > 1 {
		text, err := json.MarshalIndent(list, "", "  ") // keys come out sorted
		if err != nil {
			return err
		}
		if err := syncDir(dir); err != nil {
			return err
		}
		if err := renameio.WriteFile(filepath.Join(dir, indexFile), append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	for _, name := range old {
		if err := remove(dir, name); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

// shardIndex is model.safetensors.index.json.
type shardIndex struct {
	Metadata struct {
		TotalSize int64 `json:"total_size"` // bytes of the tensors, without headers
	} `json:"metadata"`
	WeightMap map[string]string `json:"weight_map"` // tensor to file name
}

// split cuts tensors, whose elements have size bytes, into runs of at most limit bytes; there is at least one run.
func split(tensors []Tensor, size, limit int64) (shards [][]Tensor) {
	start, bytes := 0, int64(0)
	for i, t := range tensors {
		n := size * int64(t.count())
		if i > start && bytes+n > limit {
			shards = append(shards, tensors[start:i])
			start, bytes = i, 0
		}
		bytes += n
	}
	return append(shards, tensors[start:])
}

// stale lists the weights in dir that are none of those with the given names, model.safetensors last: it wins over an index, so that
// it keeps the folder whole until it goes.
func stale(dir string, names []string) (old []string, err error) {
	shards, err := fs.Glob(os.DirFS(dir), "model-?????-of-?????.safetensors")
	if err != nil {
		return nil, err
	}
	for _, name := range append(shards, indexFile, singleFile) {
		if !slices.Contains(names, name) && (name != indexFile || len(names) == 1) {
			old = append(old, name)
		}
	}
	return old, nil
}

// remove removes a file that may not be there.
func remove(dir, name string) error {
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
