package weights

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// SumCache remembers the SHA-256 of large files, so that weights are hashed once and not at every start. A nil *SumCache remembers
// nothing. It is safe for concurrent use, and processes may share its file.
//
// A sum is taken from it if a file has the same absolute path, device, inode, size, and times of modification and of change, in
// nanoseconds, as when it was hashed. Whoever writes a file without changing any of these is believed; the system's own calls cannot.
//
// It also believes the cache of the Hugging Face libraries: a link to blobs/HASH, where HASH has 64 hexadecimal digits, leads to
// a file with that SHA-256, as its name says. Those libraries check it when they download and never again, and so does mixr. A blob
// that was damaged since is hence not noticed here; a nil *SumCache does notice.
//
// The file has one line a sum, appended by a single write: its CRC-32, and then what it was told. Lines that are broken, torn or of
// another version are passed over, so that damage costs time and nothing else.
type SumCache struct {
	path    string
	settled time.Duration

	mu    sync.Mutex
	size  int64             // of the file when it was last read
	known map[string]string // file, see key -> SHA-256
	err   error
}

// NewSumCache remembers sums in the file at path; it and its folder are made when there is something to remember.
func NewSumCache(path string) *SumCache {
	return &SumCache{path: path, settled: settled, known: map[string]string{}}
}

// Err is the first failure to read or write the cache's file, nil if there was none. No sum is wrong for it: files are hashed again.
func (c *SumCache) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

const (
	// worthKnowing is the size in bytes from which a sum is remembered: smaller files are hashed in less time than it takes to look.
	worthKnowing = 1 << 20

	// settled is how old a file's last change must be for its sum to be remembered. The clocks of file systems have coarse ticks, up to
	// two seconds: a file that changes again within one would look the same.
	settled = 2 * time.Second
)

// HashFile is the SHA-256 of a file's content in hex, which is read only if the cache does not know it.
func (c *SumCache) HashFile(path string) (string, error) {
	if c == nil {
		return HashFile(path)
	}
	if sum := blobSum(path); sum != "" {
		return sum, nil
	}
	now := time.Now()
	key, st, err := identify(path)
	if err != nil || st.Size < worthKnowing {
		return HashFile(path) // which says what is wrong
	}
	if sum := c.lookUp(key); sum != "" {
		return sum, nil
	}
	sum, err := HashFile(path)
	if err != nil {
		return "", err
	}
	changed := max(st.Mtim.Nano(), st.Ctim.Nano())
	if after, _, err := identify(path); err == nil && after == key && now.UnixNano()-changed >= int64(c.settled) {
		c.remember(key, sum)
	}
	return sum, nil
}

// identify is all that a file is known by, in one line.
func identify(path string) (key string, st unix.Stat_t, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return "", st, err
	}
	if err = unix.Stat(path, &st); err != nil {
		return "", st, err
	}
	return fmt.Sprintf("%d %d %d %d %d %q", st.Dev, st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano(), path), st, nil
}

// lookUp is the SHA-256 of a file, "" if it is not known here or to any other process.
func (c *SumCache) lookUp(key string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[key] == "" {
		c.load()
	}
	return c.known[key]
}

// load reads the cache's file, unless it has the size that it had.
func (c *SumCache) load() {
	st, err := os.Stat(c.path)
	if err == nil && st.Size() == c.size {
		return
	}
	text, err := os.ReadFile(c.path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && c.err == nil {
			c.err = fmt.Errorf("weights: cache of sums: %w", err)
		}
		return
	}
	c.size = int64(len(text))
	for line := range bytes.Lines(text) {
		if key, sum, ok := parseSum(strings.TrimSuffix(string(line), "\n")); ok {
			c.known[key] = sum
		}
	}
}

// remember appends a sum to the cache's file.
func (c *SumCache) remember(key, sum string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[key] = sum
	err := os.MkdirAll(filepath.Dir(c.path), 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(c.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
			// The line feed in front ends a line that a process which was killed left without one.
			_, err = f.WriteString("\n" + formatSum(key, sum) + "\n")
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("weights: cache of sums: %w", err)
	}
}

// A line is "CRC32 sum1 SHA256 KEY", the first over all that follows it.

func formatSum(key, sum string) string {
	rest := "sum1 " + sum + " " + key
	return fmt.Sprintf("%08x %s", crc32.ChecksumIEEE([]byte(rest)), rest)
}

func parseSum(line string) (key, sum string, ok bool) {
	crc, rest, _ := strings.Cut(line, " ")
	if fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(rest))) != crc {
		return "", "", false
	}
	version, rest, _ := strings.Cut(rest, " ")
	sum, key, _ = strings.Cut(rest, " ")
	return key, sum, version == "sum1" && sha256Hex.MatchString(sum)
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// blobSum is the SHA-256 of a file of the Hugging Face libraries' cache, "" if path is none: a link
// models--ORG--NAME/snapshots/COMMIT/FILE to models--ORG--NAME/blobs/SHA256. Small files are stored by a SHA-1 and are not meant.
func blobSum(path string) string {
	to, err := os.Readlink(path)
	if err != nil {
		return ""
	}
	sum, folder := filepath.Base(to), filepath.Base(filepath.Dir(to))
	if folder != "blobs" || !sha256Hex.MatchString(sum) {
		return ""
	}
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return ""
	}
	return sum
}
