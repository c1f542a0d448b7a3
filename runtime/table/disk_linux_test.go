package table

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDiskFull fills a file system of 256 kB and expects an error that says so, the committed rows intact, and a run
// that goes on once there is room.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	free := mountSmall(t, dir, 256<<10)
	r, err := Create(filepath.Join(dir, "run"), testManifest())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := Write(r, 1, 1, metricsOf(1, 1)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(r.CheckpointDir(1), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := r.Commit(1); err != nil {
		t.Fatal(err)
	}
	var rows []Completion
	for i := range 40000 {
		rows = append(rows, Completion{Step: 2, Completion: fmt.Sprint(float64(i*i) / 7), TokenIDs: []int32{int32(i * 7919)}})
	}
	err = Write(r, 2, 2, rows)
	if !isNoSpace(err) || !strings.Contains(err.Error(), "completions-000002-000002.parquet") {
		t.Fatalf("got %v, want no space", err)
	}
	if left, _ := os.ReadDir(filepath.Join(r.Dir(), tmpDir)); len(left) != 0 {
		t.Errorf("the half-written file still takes room: %v", left)
	}
	if got, err := Read[Metrics](r.Dir()); err != nil || len(got) != 1 {
		t.Errorf("committed rows: %d, %v", len(got), err)
	}
	// The manifest cannot be replaced either when not one block is free; the old one stands.
	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	if err := Write(r, 2, 2, metricsOf(2, 2)); !isNoSpace(err) {
		t.Errorf("full: %v", err)
	}
	if err := r.Prune(1); err != nil {
		t.Errorf("nothing to prune: %v", err)
	}
	if err := os.MkdirAll(r.CheckpointDir(2), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := r.Commit(2); !isNoSpace(err) || r.Step() != 1 {
		t.Errorf("commit on a full disk: step %d, %v", r.Step(), err)
	}
	free()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := Write(r, 2, 2, metricsOf(2, 2)); err != nil {
		t.Fatal(err)
	}
	if err := r.Commit(2); err != nil {
		t.Fatal(err)
	}
	if err := r.Finish(End{}); err != nil {
		t.Fatal(err)
	}
	if got, err := Read[Metrics](r.Dir()); err != nil || len(got) != 2 {
		t.Errorf("after room was made: %d rows, %v", len(got), err)
	}
}

// mountSmall makes dir a file system of its own with the given size. Grow gives it more room.
func mountSmall(t *testing.T, dir string, size int) (grow func()) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("cannot mount a small file system here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return func() {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=16m"); err != nil {
			t.Fatal(err)
		}
	}
}

// fill writes until there is no room left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if !isNoSpace(err) {
		t.Fatal(err)
	}
}
