package ort

/*
#cgo LDFLAGS: -ldl
#include "complement.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	wrapper "github.com/yalue/onnxruntime_go"
)

// minMinor is the oldest 1.x release that serves the API version of the committed header, onnxruntime_c_api.h: ONNX Runtime
// 1.n serves the API versions up to n.
const minMinor = 24

// Engine is the loaded library. There is at most one open engine in a process, because ONNX Runtime has one environment per
// process. All methods are safe for concurrent use.
type Engine struct {
	lib       string
	version   string
	providers []string

	// What is still open, so that Close can refuse instead of pulling the library from under a session.
	sessions, bindings, tensors atomic.Int64
}

// opening guards the one environment of the process; current is the engine that owns it, nil if none does.
var opening struct {
	sync.Mutex
	current *Engine
}

// Open loads the library at lib, a path such as /usr/lib/libonnxruntime.so.1 (package fetch finds one). It fails if the file
// is missing, is no ONNX Runtime for this machine, is older than 1.24, or if an engine is open already.
func Open(lib string) (*Engine, error) {
	opening.Lock()
	defer opening.Unlock()
	if e := opening.current; e != nil {
		return nil, fmt.Errorf("ort: open %s: the engine of %s is still open: close it first, a process has one", lib, e.lib)
	}
	if lib == "" {
		return nil, fmt.Errorf("ort: open: no library is named (hint: %s)", libHint)
	}
	path, err := filepath.Abs(lib)
	if err != nil {
		return nil, fmt.Errorf("ort: open %s: %w", lib, err)
	}
	if st, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("ort: open: %w (hint: %s)", err, libHint)
	} else if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("ort: open %s: not a file (hint: give the library itself, libonnxruntime.so.1)", path)
	}
	version, err := peek(path)
	if err != nil {
		return nil, fmt.Errorf("ort: open %s: %w (hint: %s)", path, err, libHint)
	}

	wrapper.SetSharedLibraryPath(path)
	// Below this level the library prints each failure on stderr before it returns it as an error.
	if err := wrapper.InitializeEnvironment(wrapper.WithLogLevelFatal()); err != nil {
		return nil, fmt.Errorf("ort: open %s: %w", path, err)
	}
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	if err := check(C.mixr_attach(p)); err != nil {
		return nil, fmt.Errorf("ort: open %s: %w", path, errors.Join(err, wrapper.DestroyEnvironment()))
	}
	e := &Engine{lib: path, version: version}
	if e.providers, err = providers(); err != nil {
		C.mixr_detach()
		return nil, fmt.Errorf("ort: open %s: %w", path, errors.Join(err, wrapper.DestroyEnvironment()))
	}
	opening.current = e
	return e, nil
}

const libHint = "set MIXR_ORT_LIB to a libonnxruntime of version 1.24 or later, or leave it empty and mixr fetches one"

// peek reads the version of a library and refuses one that is too old. Asking an old library for a newer API would print a
// line of its own on stderr and say less.
func peek(path string) (string, error) {
	p := C.CString(path)
	defer C.free(unsafe.Pointer(p))
	var buf [64]C.char
	if err := check(C.mixr_peek(p, &buf[0], C.size_t(len(buf)))); err != nil {
		return "", err
	}
	version := C.GoString(&buf[0])
	parts := strings.Split(version, ".")
	if len(parts) < 2 || parts[0] != "1" {
		return "", fmt.Errorf("ONNX Runtime %q, want 1.%d or later of the 1.x series", version, minMinor)
	}
	if minor, err := strconv.Atoi(parts[1]); err != nil || minor < minMinor {
		return "", fmt.Errorf("ONNX Runtime %s is too old, want 1.%d or later", version, minMinor)
	}
	return version, nil
}

func providers() ([]string, error) {
	var names **C.char
	var n C.int
	if err := check(C.mixr_providers(&names, &n)); err != nil {
		return nil, fmt.Errorf("list providers: %w", err)
	}
	defer C.mixr_release_providers(names, n)
	var out []string
	for _, name := range unsafe.Slice(names, int(n)) {
		out = append(out, C.GoString(name))
	}
	return out, nil
}

// Lib is the absolute path of the library.
func (e *Engine) Lib() string { return e.lib }

// Version is the library's own version, such as "1.30.0".
func (e *Engine) Version() string { return e.version }

// Providers lists the execution providers compiled into the library, in its order of preference. A name in the list says
// nothing about whether the provider works on this machine; mixr uses CPUExecutionProvider.
func (e *Engine) Providers() []string { return slices.Clone(e.providers) }

// Close gives the environment back; a new engine may then be opened. It is an error, and closes nothing, while sessions,
// bindings or tensors of the engine are open. A second Close does nothing. The library itself stays mapped.
func (e *Engine) Close() error {
	opening.Lock()
	defer opening.Unlock()
	if opening.current != e {
		return nil
	}
	s, b, t := e.sessions.Load(), e.bindings.Load(), e.tensors.Load()
	if s+b+t > 0 {
		return fmt.Errorf("ort: close: %d sessions, %d bindings and %d tensors are still open", s, b, t)
	}
	opening.current = nil
	C.mixr_detach()
	if err := wrapper.DestroyEnvironment(); err != nil {
		return fmt.Errorf("ort: close: %w", err)
	}
	return nil
}

// check turns the message of a C function into an error and frees it.
func check(message *C.char) error {
	if message == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(message))
	return errors.New(strings.TrimSpace(C.GoString(message)))
}
