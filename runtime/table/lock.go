package table

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

const lockFile = "lock"

// lockPatience is how long acquire keeps trying: long enough to sit out a reader that only looks (HeldBy), short
// enough that a second run is refused at once.
const lockPatience = 200 * time.Millisecond

// Holder is the process that works on a run.
type Holder struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
}

func (h Holder) String() string {
	return fmt.Sprintf("pid %d on %s since %s", h.PID, h.Host, h.Since.UTC().Format(time.RFC3339))
}

// HeldError says that another process works on the run.
type HeldError struct {
	Dir    string
	Holder Holder // zero where the lock file does not say
}

func (e *HeldError) Error() string {
	who := "another process"
	if e.Holder.PID != 0 {
		who = e.Holder.String()
	}
	return fmt.Sprintf("%s is in use by %s: wait for it or stop it; the lock ends with the process", e.Dir, who)
}

// acquire takes the run folder's lock for this process. The lock is the kernel's (flock), so it ends with the process
// however that ends; the text in the file only tells others who holds it. The file stays: removing it would let two
// processes lock two different files of one name.
func acquire(dir string, self Holder) (*flock.Flock, error) {
	path := filepath.Join(dir, lockFile)
	lock := flock.New(path, flock.SetPermissions(0o644)) // others may look who holds it
	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	held, err := lock.TryLockContext(ctx, lockPatience/10)
	if !held {
		_ = lock.Close()
		if ctx.Err() != nil {
			return nil, &HeldError{Dir: dir, Holder: readHolder(dir)}
		}
		return nil, fmt.Errorf("lock run folder: %w", err)
	}
	text, err := json.Marshal(self)
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("write lock: %w", err)
	}
	return lock, nil
}

// HeldBy reports whether a process works on the run now, and which. A run whose status is Running and that nobody
// holds was killed. Where the lock cannot be tried, the lock file is taken at its word.
func HeldBy(dir string) (Holder, bool) {
	path := filepath.Join(dir, lockFile)
	if _, err := os.Stat(path); err != nil {
		return Holder{}, false
	}
	lock := flock.New(path)
	defer lock.Close()
	if free, err := lock.TryRLock(); free && err == nil {
		return Holder{}, false
	}
	return readHolder(dir), true
}

func readHolder(dir string) Holder {
	var h Holder
	text, err := os.ReadFile(filepath.Join(dir, lockFile))
	if err == nil {
		_ = json.Unmarshal(text, &h) // half written or empty: the holder stays unknown
	}
	return h
}
