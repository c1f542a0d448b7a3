// Package ort runs graphs in ONNX Runtime.
//
// In goes the path of the shared library, a graph and tensors; out come tensors. The parts are used in this order:
//
//	engine  one per process, holds the loaded library
//	tensor  a host array in ONNX Runtime's memory, seen from Go as a slice
//	session one prepared graph, shared by any number of goroutines
//	binding which tensors are the inputs and outputs of a session's runs; one per goroutine
//
// Memory that C keeps is allocated by C and viewed from Go, so no Go pointer is ever held by the library and the garbage
// collector has nothing to free too early. Freeing is explicit everywhere, in the reverse order of creation.
//
// Bits: a session computes on one thread of its caller unless told otherwise, in sequential order, with denormals taken as
// zero on every thread. The same inputs then give the same bits whichever goroutine runs them.
//
// It never downloads anything (package fetch finds the library), never copies a tensor behind the caller's back and never
// touches a device other than the CPU. It is the only package of mixr that uses cgo. The Go wrapper
// github.com/yalue/onnxruntime_go loads the library and owns its environment; complement.c adds what the wrapper lacks.
//
// Errors name the graph, the port and the shapes. Using a tensor after Free, or as a type that it is not, is a bug of the
// caller and panics.
package ort
