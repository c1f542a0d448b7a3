package ort

// #include "complement.h"
import "C"

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"

	"mixr/runtime/graph"
)

// Where a session's time goes can be seen in two ways, and neither changes a bit of what is computed: Watch times whole runs, at the cost
// of two readings of a clock a run; Trace has the library time each node, which costs microseconds a node and half a kilobyte of text.

// Run is a finished run of a session.
type Run struct {
	Graph string
	Wall  time.Duration
	CPU   time.Duration // what the caller's thread computed: of a session of one thread, all of it
}

// Watch has f told of every run from now on, on the goroutine that made it; nil ends it. No run may be at work.
func (s *Session) Watch(f func(Run)) { s.watch = f }

// trace is a second session of the same graph whose nodes the library times.
type trace struct {
	session *Session
	stride  int64
	runs    atomic.Int64 // of the session while it is traced
}

// Trace has every stride-th run from now on, the first one included, computed by a second session of the same graph (g is the one that the
// session was made of) whose nodes the library times. No run may be at work. EndTrace ends it.
//
// file begins the name of the file that EndTrace writes; the folder must be there. The library keeps what it records in memory until
// then, and at most a million events.
func (s *Session) Trace(g *graph.Graph, file string, stride int) error {
	switch {
	case s.session == nil:
		return fmt.Errorf("ort: trace: session %s is closed", s.name)
	case s.trace != nil:
		return fmt.Errorf("ort: trace %s: it is traced already", s.name)
	case g.Name() != s.name:
		return fmt.Errorf("ort: trace %s: got graph %s", s.name, g.Name())
	case stride < 1:
		return fmt.Errorf("ort: trace %s: stride: got %d, want 1 or more", s.name, stride)
	}
	name := C.CString(file)
	defer C.free(unsafe.Pointer(name))
	twin, err := s.engine.newSession(g, s.options, name)
	if err != nil {
		return err
	}
	s.trace = &trace{session: twin, stride: int64(stride)}
	return nil
}

// EndTrace ends a trace and returns the file that holds it: a JSON array of events in the form of chrome://tracing, of category Node (one a
// node, args.op_name, args.input_type_shape, args.output_type_shape; dur in microseconds) and Session (model_run, one a run). No run may
// be at work, and the outputs of those that were made must be taken.
func (s *Session) EndTrace() (file string, err error) {
	if s.trace == nil {
		return "", fmt.Errorf("ort: end trace of %s: it is not traced", s.name)
	}
	twin := s.trace.session
	if n := twin.open.Load(); n > 0 {
		return "", fmt.Errorf("ort: end trace of %s: outputs of %d runs are not taken", s.name, n)
	}
	s.trace = nil
	var name *C.char
	if err := check(C.mixr_end_profiling(twin.session, &name)); err != nil {
		return "", errors.Join(fmt.Errorf("ort: end trace of %s: %w", s.name, err), twin.Close())
	}
	defer C.free(unsafe.Pointer(name))
	return C.GoString(name), twin.Close()
}

// compute makes one run of the binding, and tells who watches.
func (b *Binding) compute() error {
	s := b.session
	run := func(cpu *C.int64_t) error { return check(C.mixr_run(s.session, b.binding, cpu)) }
	if t := s.trace; t != nil && (t.runs.Add(1)-1)%t.stride == 0 && b.live() {
		run = func(cpu *C.int64_t) error { return b.computeTraced(t.session, cpu) }
	}
	if s.watch == nil {
		return run(nil)
	}
	var cpu C.int64_t
	start := time.Now()
	err := run(&cpu)
	s.watch(Run{s.name, time.Since(start), time.Duration(cpu)})
	return err
}

// live reports whether all bound tensors can be bound once more: one that was freed is kept by the library, for this binding alone.
func (b *Binding) live() bool {
	for _, set := range []map[string]*Tensor{b.inputs, b.outputs} {
		for _, t := range set {
			if t != nil && t.value == nil {
				return false
			}
		}
	}
	return true
}

// computeTraced runs the same tensors on the twin of the session. Its binding stays until the outputs that it allocated, if any, are
// taken or dropped.
func (b *Binding) computeTraced(twin *Session, cpu *C.int64_t) (err error) {
	if err := check(C.mixr_binding(twin.session, &b.traced)); err != nil {
		return err
	}
	b.twin = twin
	twin.open.Add(1)
	waits := false // outputs that the run allocates do
	defer func() {
		if err != nil || !waits {
			b.dropTraced()
		}
	}()
	bind := func(name string, f func(name *C.char) *C.char) error {
		n := C.CString(name)
		defer C.free(unsafe.Pointer(n))
		return check(f(n))
	}
	for name, t := range b.inputs {
		if err := bind(name, func(n *C.char) *C.char { return C.mixr_bind_input(b.traced, n, t.value) }); err != nil {
			return err
		}
	}
	for _, name := range b.order { // the order in which Outputs expects them
		err := bind(name, func(n *C.char) *C.char {
			if t := b.outputs[name]; t != nil {
				return C.mixr_bind_output(b.traced, n, t.value)
			}
			waits = true
			return C.mixr_bind_output_auto(b.traced, n)
		})
		if err != nil {
			return err
		}
	}
	return check(C.mixr_run(twin.session, b.traced, cpu))
}

func (b *Binding) dropTraced() {
	if b.traced != nil {
		C.mixr_release_binding(b.traced)
		b.twin.open.Add(-1)
		b.traced, b.twin = nil, nil
	}
}

// Arena says what the arena that all sessions share has taken from the system so far, and what of it is in use now, in bytes; zeros where
// the library does not say.
func (s *Session) Arena() (held, used int64, err error) {
	if s.session == nil {
		return 0, 0, fmt.Errorf("ort: arena: session %s is closed", s.name)
	}
	var h, u C.int64_t
	if err := check(C.mixr_arena(s.session, &h, &u)); err != nil {
		return 0, 0, fmt.Errorf("ort: arena of %s: %w", s.name, err)
	}
	return int64(h), int64(u), nil
}
