// Package orttest gives tests the engine: in go nothing but the machine's settings, out comes an open ort.Engine. It finds
// or fetches the library as the product does, so a test never skips for want of it. Only tests import it.
package orttest

import (
	"os"
	"sync"
	"testing"

	"mixr/runtime/ort"
)

// once opens the one engine of the test process. The library's path is read with os.Getenv, so that the test cache notices
// a change of it.
var once = sync.OnceValues(func() (*ort.Engine, error) {
	return ort.Open(os.Getenv("MIXR_ORT_LIB"))
})

// Open returns the engine of the test process, the same for every test; it is never closed. It fails the test if no library
// is to be had.
func Open(t testing.TB) *ort.Engine {
	t.Helper()
	e, err := once()
	if err != nil {
		t.Fatal(err)
	}
	return e
}
