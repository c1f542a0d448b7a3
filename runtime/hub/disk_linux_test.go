package hub

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk that is too small is noticed before the download, one that fills up during it says so, and what came is gone on from.
func TestDiskFull(t *testing.T) {
	mount := func(t *testing.T, size int) string {
		t.Helper()
		dir := t.TempDir()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
			t.Skipf("cannot mount a small file system here: %v", err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
				t.Errorf("unmount: %v", err)
			}
		})
		return dir
	}
	h := newHub(t)
	main := mustParse(t, "hf:ORG/NAME")
	_, _, err := h.user(t, mount(t, 1<<20)).Fetch(t.Context(), main, nil)
	wantError(t, err, "too little room: 2.1 MB are needed", "HF_HUB_CACHE")
	if h.count("GET /ORG") != 0 {
		t.Errorf("requests %q", h.requests)
	}

	dir := mount(t, 3<<20)
	u := h.user(t, dir)
	filled := false
	u.options.Progress = func(string, int64, int64) {
		if !filled { // by another program, while the download runs
			filled = true
			if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=1200k"); err != nil {
				t.Error(err)
			}
		}
	}
	_, _, err = u.Fetch(t.Context(), main, nil)
	wantError(t, err, "no space left on device", roomHint)
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=4m"); err != nil {
		t.Fatal(err)
	}
	folder, _, err := u.Fetch(t.Context(), main, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantModel(t, folder, h.commits[commitA])
	if !u.logged("going on at") {
		t.Errorf("log %q", u.lines)
	}
}
