package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"mixr/runtime/hub"
)

// hubClient reads HF_HOME, HF_TOKEN and the other variables of the hub's own tools, so that cache and token are shared with them.
func hubClient(watch *screen) (*hub.Client, error) {
	o, err := hub.Environment(os.Getenv)
	if err != nil {
		return nil, err
	}
	if watch != nil {
		o.Log = func(line string) { fmt.Fprintln(watch, line) }
		o.Progress = newDownload(watch).bytes
	}
	return hub.New(o)
}

// fetched returns a function from hf:ORG/NAME@REVISION to its folder, downloading what the cache lacks.
func fetched(ctx context.Context, watch *screen) func(ref string) (string, error) {
	return func(from string) (string, error) {
		ref, err := hub.Parse(from)
		if err != nil {
			return "", err
		}
		c, err := hubClient(watch)
		if err != nil {
			return "", err
		}
		defer watch.hide()
		folder, _, err := c.Fetch(ctx, ref, nil)
		return folder, err
	}
}

// errAbsent marks a policy that would have to be downloaded first.
var errAbsent = errors.New("mixr run downloads it")

// held is as fetched, but makes no request: what is not in the cache is an error.
func held(from string) (string, error) {
	ref, err := hub.Parse(from)
	if err != nil {
		return "", err
	}
	c, err := hubClient(nil)
	if err != nil {
		return "", err
	}
	h, err := c.Look(ref, nil)
	if err != nil {
		return "", err
	}
	if !h.Complete() {
		return "", fmt.Errorf("%s: %v: %w", from, h, errAbsent)
	}
	return h.Folder, nil
}

// download shows how far the files of a repository are.
type download struct {
	screen *screen
	shown  time.Time
}

func newDownload(s *screen) *download { return &download{screen: s, shown: time.Now()} }

// bytes is called with what is there of a file.
func (d *download) bytes(file string, done, total int64) {
	if total <= 0 {
		return
	}
	text := fmt.Sprintf("%s  %s of %s", file, size(done), size(total))
	if d.screen.tty {
		d.screen.show(int(100*done/total), 100, text)
		return
	}
	if now := time.Now(); now.Sub(d.shown) >= lineEvery {
		d.shown = now
		fmt.Fprintln(d.screen, text)
	}
}
