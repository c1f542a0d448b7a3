package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// writable makes the folder if it is missing and tries to write in it.
func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// canWrite reports whether files can be made in a folder, or the folder itself where it is missing, without making any. within
// is the folder, or the nearest one above it that exists.
func canWrite(dir string) (within string, err error) {
	within, err = filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		st, err := os.Stat(within)
		switch {
		case errors.Is(err, fs.ErrNotExist) && within != filepath.Dir(within):
			within = filepath.Dir(within)
			continue
		case err != nil:
			return "", err
		case !st.IsDir():
			return "", fmt.Errorf("%s is not a folder", within)
		}
		if err := unix.Access(within, unix.W_OK); err != nil {
			return "", fmt.Errorf("write in %s: %w", within, err)
		}
		return within, nil
	}
}

// folderSize is the size of all files below a folder, 0 if it is missing.
func folderSize(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since
		}
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}

func free(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

func freeSpace(dir string) string {
	n, err := free(dir)
	if err != nil {
		return "free space not known"
	}
	return size(n) + " free"
}

func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.0f kB", float64(n)/1e3)
}
