// Package orttest gives tests the engine: in go nothing but the machine's settings, out comes an open ort.Engine. It finds
// or fetches the library as the product does, so no test skips for want of it. Only tests import it.
package orttest

import (
	"context"
	"os"
	"sync"
	"testing"

	"mixr/runtime/ort"
	"mixr/runtime/ort/fetch"
)

// open opens the one engine of the test process. The settings are read with os.Getenv, so that the test cache notices a
// change of them.
var open = sync.OnceValues(func() (*ort.Engine, error) {
	lib, err := fetch.Find(context.Background(), fetch.Options{
		Lib:      os.Getenv("MIXR_ORT_LIB"),
		CacheDir: os.Getenv("MIXR_CACHE_DIR"),
		Log:      func(line string) { os.Stderr.WriteString(line + "\n") },
	})
	if err != nil {
		return nil, err
	}
	return ort.Open(lib)
})

// Open returns the engine of the test process, the same for every test; it is never closed. It fails the test if no library
// is to be had.
func Open(t testing.TB) *ort.Engine {
	t.Helper()
	e, err := open()
	if err != nil {
		t.Fatal(err)
	}
	return e
}
