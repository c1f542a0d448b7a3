// What this package needs of the ONNX Runtime C API beyond the Go wrapper: sessions that report their ports, bindings whose
// outputs are taken without a copy, tensors in ONNX Runtime's own memory. The types are opaque here, so that cgo need not
// read the full API header; complement.c includes both, and the compiler checks one against the other.
//
// A function that can fail returns NULL or a message that the caller frees with free().
#ifndef MIXR_ORT_COMPLEMENT_H
#define MIXR_ORT_COMPLEMENT_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct OrtSession OrtSession;
typedef struct OrtIoBinding OrtIoBinding;
typedef struct OrtValue OrtValue;

enum { MIXR_INPUTS = 0, MIXR_OUTPUTS = 1 };

// mixr_peek writes the version of the library at path ("1.30.0") into version. Nothing of the library is used beyond that.
char* mixr_peek(const char* path, char* version, size_t size);
// mixr_attach prepares the functions below for a library that the wrapper has loaded; its environment must exist.
char* mixr_attach(const char* path);
// mixr_detach gives back the reference to the environment. No session, binding or value may be left.
void mixr_detach(void);
char* mixr_providers(char*** names, int* count);
void mixr_release_providers(char** names, int count);

// profile begins the name of the file that mixr_end_profiling writes; NULL times no node.
char* mixr_session(const void* model, size_t size, int threads, int level, const char* profile, OrtSession** out);
// mixr_end_profiling writes what a session made with a profile has recorded; file is freed with free().
char* mixr_end_profiling(OrtSession* s, char** file);
// mixr_arena says what the arena that all sessions share has taken from the system and what of it is in use, in bytes; zeros where the
// library does not say.
char* mixr_arena(const OrtSession* s, int64_t* held, int64_t* used);
char* mixr_session_ports(const OrtSession* s, int which, size_t* count);
// mixr_session_port describes one input or output; name is freed with free(). Unknown dimensions are -1.
char* mixr_session_port(const OrtSession* s, int which, size_t index, char** name, int* type, int64_t* dims, size_t max,
                        size_t* rank);
void mixr_release_session(OrtSession* s);

char* mixr_value(int type, const int64_t* dims, size_t rank, OrtValue** out);
// mixr_view makes a value over memory that stays the caller's.
char* mixr_view(int type, void* data, size_t bytes, const int64_t* dims, size_t rank, OrtValue** out);
char* mixr_value_info(OrtValue* v, int* type, int64_t* dims, size_t max, size_t* rank, void** data);
void mixr_release_value(OrtValue* v);

char* mixr_binding(OrtSession* s, OrtIoBinding** out);
char* mixr_bind_input(OrtIoBinding* b, const char* name, const OrtValue* v);
char* mixr_bind_output(OrtIoBinding* b, const char* name, const OrtValue* v);
char* mixr_bind_output_auto(OrtIoBinding* b, const char* name);
// mixr_bound_outputs returns one value for each bound output in the order of their binding, each to be released, and the
// array to be freed with mixr_free_bound.
char* mixr_bound_outputs(const OrtIoBinding* b, OrtValue*** values, size_t* count);
void mixr_free_bound(OrtValue** values);
// cpu, if not NULL, receives the time in nanoseconds that the calling thread computed.
char* mixr_run(OrtSession* s, OrtIoBinding* b, int64_t* cpu);
void mixr_release_binding(OrtIoBinding* b);

#endif
