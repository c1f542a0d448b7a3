package ort

// #include "complement.h"
import "C"

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unsafe"
)

// Binding holds the tensors of a session's runs. Bind every input and every wanted output once, then Run as often as
// needed, changing the tensors' contents in between. It keeps a reference to each bound tensor.
//
// The same tensor may be bound as an input and as an output: the run then updates it in place. That is right only if the
// graph reads the old value nowhere after it writes the new one; package graph and its users must see to it.
//
// A binding is used by one goroutine at a time. Bindings of one session may run at the same time.
type Binding struct {
	session *Session
	binding *C.OrtIoBinding
	inputs  map[string]*Tensor
	outputs map[string]*Tensor // nil for an output that the run allocates
	order   []string           // output names in the order of their first binding, which is the library's order
	ran     bool               // automatic outputs of a successful run are waiting
	traced  *C.OrtIoBinding    // what holds them, if the run was traced; nil: binding does
	twin    *Session           // that computed them; see Session.Trace
}

// NewBinding makes an empty binding.
func (s *Session) NewBinding() (*Binding, error) {
	if s.session == nil {
		return nil, fmt.Errorf("ort: new binding: session %s is closed", s.name)
	}
	b := &Binding{session: s, inputs: map[string]*Tensor{}, outputs: map[string]*Tensor{}}
	if err := check(C.mixr_binding(s.session, &b.binding)); err != nil {
		return nil, fmt.Errorf("ort: new binding of %s: %w", s.name, err)
	}
	s.open.Add(1)
	s.engine.bindings.Add(1)
	return b, nil
}

// Input binds a tensor as the named input, in place of an earlier one.
func (b *Binding) Input(name string, t *Tensor) error {
	n, err := b.prepare("input", name, b.session.inputs, t)
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(n))
	if err := check(C.mixr_bind_input(b.binding, n, t.value)); err != nil {
		return fmt.Errorf("ort: %s: bind input %s to %s: %w", b.session.name, name, t, err)
	}
	b.inputs[name] = t
	return nil
}

// Output binds a tensor to receive the named output, whose shape must come out as the tensor's.
func (b *Binding) Output(name string, t *Tensor) error {
	n, err := b.prepare("output", name, b.session.outputs, t)
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(n))
	if err := check(C.mixr_bind_output(b.binding, n, t.value)); err != nil {
		return fmt.Errorf("ort: %s: bind output %s to %s: %w", b.session.name, name, t, err)
	}
	b.noteOutput(name, t)
	return nil
}

// OutputAuto asks for the named output in memory that each run allocates; Outputs takes it.
func (b *Binding) OutputAuto(name string) error {
	n, err := b.prepare("output", name, b.session.outputs, nil)
	if err != nil {
		return err
	}
	defer C.free(unsafe.Pointer(n))
	if err := check(C.mixr_bind_output_auto(b.binding, n)); err != nil {
		return fmt.Errorf("ort: %s: bind output %s: %w", b.session.name, name, err)
	}
	b.noteOutput(name, nil)
	return nil
}

func (b *Binding) noteOutput(name string, t *Tensor) {
	if _, ok := b.outputs[name]; !ok {
		b.order = append(b.order, name)
	}
	b.outputs[name] = t
}

// prepare checks a binding request against the session's port and returns the name in C's memory, to be freed. A nil t
// stands for an automatic output.
func (b *Binding) prepare(kind, name string, ports []port, t *Tensor) (*C.char, error) {
	fail := func(format string, args ...any) (*C.char, error) {
		return nil, fmt.Errorf("ort: %s: bind %s %s: %w", b.session.name, kind, name, fmt.Errorf(format, args...))
	}
	if b.binding == nil {
		return fail("the binding is closed")
	}
	i := slices.IndexFunc(ports, func(p port) bool { return p.name == name })
	if i < 0 {
		return fail("the graph has no such %s, it has %s", kind, shorten(names(ports)))
	}
	if t == nil {
		return C.CString(name), nil
	}
	if t.value == nil {
		return fail("the tensor %s was freed", t)
	}
	if !ports[i].accepts(t) {
		return fail("got %s, want %s", t, describe(ports[i].dtype, ports[i].shape))
	}
	return C.CString(name), nil
}

// Run computes the bound outputs. Every input must be bound. Automatic outputs of an earlier run that were not taken are
// dropped. On an error the contents of the output tensors are undefined.
func (b *Binding) Run() error {
	if b.binding == nil {
		return fmt.Errorf("ort: run %s: the binding is closed", b.session.name)
	}
	if len(b.inputs) < len(b.session.inputs) {
		return fmt.Errorf("ort: run %s: not bound: %s", b.session.name, b.unbound())
	}
	if err := b.resetAuto(); err != nil {
		return err
	}
	if err := b.compute(); err != nil {
		return fmt.Errorf("ort: run %s with %s: %w", b.session.name, b.inputShapes(), err)
	}
	b.ran = true
	return nil
}

// resetAuto asks for fresh memory for the automatic outputs. Otherwise the library would write the next run into the
// tensors of the last one, which the caller may have taken, or refuse if a shape has changed.
func (b *Binding) resetAuto() error {
	if !b.ran {
		return nil
	}
	b.ran = false
	b.dropTraced()
	for _, name := range b.order {
		if b.outputs[name] == nil {
			if err := b.OutputAuto(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Outputs takes the automatic outputs of the last run, without copying, by name. The caller frees each tensor. It may be
// called once for each run.
func (b *Binding) Outputs() (map[string]*Tensor, error) {
	if b.binding == nil || !b.ran {
		return nil, fmt.Errorf("ort: outputs of %s: there is no run whose outputs are not taken", b.session.name)
	}
	var values **C.OrtValue
	var n C.size_t
	from := b.binding
	if b.traced != nil {
		from = b.traced
	}
	if err := check(C.mixr_bound_outputs(from, &values, &n)); err != nil {
		return nil, fmt.Errorf("ort: outputs of %s: %w", b.session.name, err)
	}
	defer C.mixr_free_bound(values)
	if int(n) != len(b.order) {
		panic(fmt.Sprintf("ort: %s: the library holds %d outputs, the binding %d", b.session.name, n, len(b.order)))
	}
	out := map[string]*Tensor{}
	var failed error
	for i, value := range unsafe.Slice(values, int(n)) {
		name := b.order[i]
		if b.outputs[name] != nil {
			C.mixr_release_value(value) // the caller has it as a tensor already
			continue
		}
		t, err := b.session.engine.adopt(value)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("ort: output %s of %s: %w", name, b.session.name, err))
			continue
		}
		out[name] = t
	}
	if failed != nil {
		for _, t := range out {
			t.Free()
		}
		return nil, failed
	}
	return out, b.resetAuto()
}

// unbound lists the inputs without a tensor.
func (b *Binding) unbound() string {
	var out []string
	for _, p := range b.session.inputs {
		if b.inputs[p.name] == nil {
			out = append(out, p.name)
		}
	}
	return shorten(out)
}

// inputShapes lists the inputs whose shape the graph leaves open, or all if there are none: a graph has hundreds of
// weights, and their shapes were checked when they were bound.
func (b *Binding) inputShapes() string {
	var open, all []string
	for _, p := range b.session.inputs {
		text := fmt.Sprintf("%s %s", p.name, b.inputs[p.name])
		all = append(all, text)
		if p.symbolic() {
			open = append(open, text)
		}
	}
	if len(open) > 0 {
		return shorten(open)
	}
	return shorten(all)
}

// shorten joins at most a dozen items.
func shorten(items []string) string {
	const most = 12
	if len(items) == 0 {
		return "none"
	}
	if len(items) <= most {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:most], ", "), len(items)-most)
}

// Close releases the binding and its references; bound tensors stay valid. A second Close does nothing.
func (b *Binding) Close() error {
	if b.binding == nil {
		return nil
	}
	b.dropTraced()
	C.mixr_release_binding(b.binding)
	b.binding = nil
	b.inputs, b.outputs = nil, nil
	b.session.open.Add(-1)
	b.session.engine.bindings.Add(-1)
	return nil
}
