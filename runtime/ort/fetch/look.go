package fetch

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Look returns the library that Find would return without fetching, and "" where Find would fetch. It writes nothing.
func Look(o Options) (string, error) {
	f := newFinder(o)
	lib, here, err := f.look()
	if err != nil {
		return "", fmt.Errorf("fetch: %w", err)
	}
	if !here {
		return "", nil
	}
	return lib, nil
}

func newFinder(o Options) finder {
	return finder{
		options:  o,
		platform: runtime.GOOS + "/" + runtime.GOARCH,
		pins:     pinned,
		release:  releaseURL,
		client:   http.DefaultClient,
		pause:    time.Second,
		stall:    30 * time.Second,
	}
}

// setting names Options.Lib to the user, wherever its value came from.
const setting = "the ort-lib setting (--ort-lib, MIXR_ORT_LIB)"

// look returns where the library is or belongs, and whether it is there.
func (f *finder) look() (lib string, here bool, err error) {
	if lib := f.options.Lib; lib != "" {
		st, err := os.Stat(lib)
		if err != nil {
			return "", false, fmt.Errorf("%s: %w (hint: correct it, or leave it empty and mixr fetches the library)", setting, err)
		}
		if st.IsDir() {
			return "", false, fmt.Errorf("%s: %s is a folder (hint: give the library itself, libonnxruntime.so.1)", setting, lib)
		}
		return lib, true, nil
	}
	p, ok := f.pins[f.platform]
	if !ok {
		return "", false, fmt.Errorf("no ONNX Runtime %s is known for %s (hint: install version 1.24 or later and set MIXR_ORT_LIB to its library)", Version, f.platform)
	}
	dir, err := f.cacheDir()
	if err != nil {
		return "", false, err
	}
	lib = filepath.Join(dir, p.file)
	return lib, f.cached(lib), nil
}
