package ort

// #include "complement.h"
import "C"

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"mixr/runtime/graph"
)

// SessionOptions says how a graph is prepared and run. The zero value is what mixr's determinism rests on: one thread, the
// graph as it was emitted.
type SessionOptions struct {
	// Threads is the number of threads inside one run; 0 means 1. With more than one, sums may be split differently and
	// bits may differ from those of one thread.
	Threads int
	// Level is how far the library rewrites the graph: 0 not at all, 1 removes redundant nodes and folds constants, 2 also
	// fuses. Higher levels cost seconds for optimizer graphs; 1 suits gradient graphs.
	Level int
}

// port is an input or output as the session declares it.
type port struct {
	name  string
	dtype graph.DType
	shape []int // -1 for a symbolic dimension
}

// accepts reports whether a tensor of this type and shape fits.
func (p *port) accepts(t *Tensor) bool {
	if p.dtype != t.dtype || len(p.shape) != len(t.shape) {
		return false
	}
	for i, d := range p.shape {
		if d >= 0 && d != t.shape[i] {
			return false
		}
	}
	return true
}

// symbolic reports whether a dimension is open; weights have none.
func (p *port) symbolic() bool {
	for _, d := range p.shape {
		if d < 0 {
			return true
		}
	}
	return false
}

// Session is a graph prepared for running. It is safe for concurrent use: runs of different bindings may overlap.
type Session struct {
	engine  *Engine
	name    string
	session *C.OrtSession
	inputs  []port
	outputs []port
	open    atomic.Int64 // bindings not closed

	options SessionOptions
	watch   func(Run) // nil: runs are not timed
	trace   *trace    // nil: nodes are not timed
}

// NewSession prepares a graph. The graph may be dropped afterwards.
func (e *Engine) NewSession(g *graph.Graph, o SessionOptions) (*Session, error) {
	return e.newSession(g, o, nil)
}

// newSession is NewSession; profile, if not nil, begins the name of the file of a session whose nodes are timed.
func (e *Engine) newSession(g *graph.Graph, o SessionOptions, profile *C.char) (*Session, error) {
	model, err := g.Marshal()
	if err != nil {
		return nil, fmt.Errorf("ort: session: %w", err)
	}
	fail := func(err error) (*Session, error) {
		return nil, fmt.Errorf("ort: session %s (%d bytes): %w", g.Name(), len(model), err)
	}
	threads := max(o.Threads, 1)
	if o.Threads < 0 {
		return fail(fmt.Errorf("threads: got %d, want 0 or more", o.Threads))
	}
	if o.Level < 0 || o.Level > 2 {
		return fail(fmt.Errorf("level: got %d, want 0, 1 or 2", o.Level))
	}
	s := &Session{engine: e, name: g.Name(), options: o}
	err = check(C.mixr_session(unsafe.Pointer(&model[0]), C.size_t(len(model)), C.int(threads), C.int(o.Level), profile, &s.session))
	if err != nil {
		return fail(err)
	}
	if err := s.describePorts(); err != nil {
		C.mixr_release_session(s.session)
		return fail(err)
	}
	e.sessions.Add(1)
	return s, nil
}

func (s *Session) describePorts() (err error) {
	if s.inputs, err = s.ports(C.MIXR_INPUTS); err != nil {
		return err
	}
	s.outputs, err = s.ports(C.MIXR_OUTPUTS)
	return err
}

func (s *Session) ports(which C.int) ([]port, error) {
	var n C.size_t
	if err := check(C.mixr_session_ports(s.session, which, &n)); err != nil {
		return nil, err
	}
	out := make([]port, n)
	for i := range out {
		var name *C.char
		var dtype C.int
		var dims [maxRank]C.int64_t
		var rank C.size_t
		err := check(C.mixr_session_port(s.session, which, C.size_t(i), &name, &dtype, &dims[0], maxRank, &rank))
		if err != nil {
			return nil, err
		}
		out[i] = port{name: C.GoString(name), dtype: graph.DType(dtype)}
		C.free(unsafe.Pointer(name))
		for _, d := range dims[:rank] {
			out[i].shape = append(out[i].shape, int(d))
		}
	}
	return out, nil
}

// Name is the name of the graph.
func (s *Session) Name() string { return s.name }

func names(ports []port) []string {
	out := make([]string, len(ports))
	for i := range ports {
		out[i] = ports[i].name
	}
	return out
}

// Close releases the session. It is an error, and closes nothing, while bindings of the session are open. A second Close
// does nothing. Tensors outlive the session, also those that its runs have allocated.
func (s *Session) Close() error {
	if s.session == nil {
		return nil
	}
	if n := s.open.Load(); n > 0 {
		return fmt.Errorf("ort: close session %s: %d bindings are still open", s.name, n)
	}
	if s.trace != nil {
		if _, err := s.EndTrace(); err != nil {
			return err
		}
	}
	C.mixr_release_session(s.session)
	s.session = nil
	s.engine.sessions.Add(-1)
	return nil
}
