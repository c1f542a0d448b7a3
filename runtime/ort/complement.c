#include "complement.h"

#include <dlfcn.h>
#include <string.h>
#include <time.h>

#include "onnxruntime_c_api.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

static const OrtApi* api;
static OrtEnv* env;           // the one environment of the process; the wrapper holds the other reference
static OrtAllocator* host;    // default host allocator, owned by the library
static OrtMemoryInfo* memory; // where automatic outputs go: host memory
static OrtMemoryInfo* arena;  // what all sessions take intermediate results from

// taken turns a status into a message and releases it.
static char* taken(OrtStatus* s) {
  if (!s) return NULL;
  char* message = strdup(api->GetErrorMessage(s));
  api->ReleaseStatus(s);
  return message;
}

static const OrtApiBase* base_of(void* lib) {
  const OrtApiBase* (*get)(void) = (const OrtApiBase* (*)(void))dlsym(lib, "OrtGetApiBase");
  return get ? get() : NULL;
}

char* mixr_peek(const char* path, char* version, size_t size) {
  void* lib = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
  if (!lib) return strdup(dlerror());
  const OrtApiBase* base = base_of(lib);
  char* message = NULL;
  if (!base) {
    message = strdup("it exports no OrtGetApiBase, so it is not ONNX Runtime");
  } else {
    strncpy(version, base->GetVersionString(), size - 1);
    version[size - 1] = 0;
  }
  dlclose(lib);
  return message;
}

// One arena for all sessions: the phases of a step use the same memory in turn, where an arena of its own would keep the peak of each
// session for good. It grows by powers of two. Growing by what is asked for takes less while shapes stay equal, and more once lengths
// differ from step to step, since regions cannot be joined.
static OrtStatus* open_arena(void) {
  const char* keys[] = {"arena_extend_strategy"};
  const size_t power_of_two[] = {0};
  OrtArenaCfg* config = NULL;
  OrtMemoryInfo* info = NULL;
  OrtStatus* s = api->CreateArenaCfgV2(keys, power_of_two, 1, &config);
  if (!s) s = api->CreateMemoryInfo("Cpu", OrtArenaAllocator, 0, OrtMemTypeDefault, &info);
  if (!s) s = api->CreateAndRegisterAllocator(env, info, config);
  if (config) api->ReleaseArenaCfg(config);
  if (s && info) api->ReleaseMemoryInfo(info);
  if (!s) arena = info;
  return s;
}

char* mixr_attach(const char* path) {
  // A second dlopen of the same file gives the same library. It is never closed: what static state the library keeps
  // survives a Close, and no pointer into it can dangle.
  void* lib = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
  if (!lib) return strdup(dlerror());
  api = base_of(lib)->GetApi(ORT_API_VERSION);
  if (!api) return strdup("it does not offer the API version of the header this program was built with");
  char* message = taken(api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "mixr", &env));
  if (!message) message = taken(api->GetAllocatorWithDefaultOptions(&host));
  if (!message) message = taken(api->CreateMemoryInfo("Cpu", OrtDeviceAllocator, 0, OrtMemTypeDefault, &memory));
  if (!message) message = taken(open_arena());
  if (message) mixr_detach();
  return message;
}

void mixr_detach(void) {
  if (arena) {
    OrtStatus* s = api->UnregisterAllocator(env, arena);
    if (s) api->ReleaseStatus(s);
    api->ReleaseMemoryInfo(arena);
  }
  arena = NULL;
  if (memory) api->ReleaseMemoryInfo(memory);
  if (env) api->ReleaseEnv(env);
  memory = NULL;
  env = NULL;
}

char* mixr_providers(char*** names, int* count) { return taken(api->GetAvailableProviders(names, count)); }

void mixr_release_providers(char** names, int count) {
  OrtStatus* s = api->ReleaseAvailableProviders(names, count);
  if (s) api->ReleaseStatus(s);
}

// The denormal mode is a register of each operating system thread. A session with one intra-op thread computes on the thread
// of its caller, where ONNX Runtime sets the mode only once in a process, for whichever thread creates the first session: the
// same graph would then differ in bits from one Go thread to the next, and Go code would run in the changed mode. So it is set
// around each call and put back. Threads of a session's own pool are covered by session.set_denormal_as_zero.
#if defined(__x86_64__)
typedef unsigned int float_mode;
static float_mode flush_denormals(void) {
  float_mode old = _mm_getcsr();
  _mm_setcsr(old | 0x8040);  // flush to zero, denormals are zero
  return old;
}
static void restore_mode(float_mode old) { _mm_setcsr(old); }
#elif defined(__aarch64__)
typedef uint64_t float_mode;
static float_mode flush_denormals(void) {
  float_mode old;
  __asm__ volatile("mrs %0, fpcr" : "=r"(old));
  __asm__ volatile("msr fpcr, %0" : : "r"(old | (1u << 24)));  // FZ
  return old;
}
static void restore_mode(float_mode old) { __asm__ volatile("msr fpcr, %0" : : "r"(old)); }
#else
#error "mixr knows how to set the denormal mode on x86-64 and arm64 only"
#endif

char* mixr_session(const void* model, size_t size, int threads, int level, const char* profile, OrtSession** out) {
  OrtSessionOptions* o;
  OrtStatus* s = api->CreateSessionOptions(&o);
  if (s) return taken(s);
  s = api->SetIntraOpNumThreads(o, threads);
  if (!s) s = api->SetInterOpNumThreads(o, 1);
  if (!s) s = api->SetSessionExecutionMode(o, ORT_SEQUENTIAL);
  if (!s) s = api->SetSessionGraphOptimizationLevel(o, (GraphOptimizationLevel)level);
  // Shapes differ from one run to the next, so the block that is planned for a shape is taken in vain beside what is there already.
  if (!s) s = api->DisableMemPattern(o);
  if (!s && profile) s = api->EnableProfiling(o, profile);
  if (!s) s = api->AddSessionConfigEntry(o, "session.use_env_allocators", "1");
  if (!s) s = api->AddSessionConfigEntry(o, "session.set_denormal_as_zero", "1");
  if (!s) s = api->AddSessionConfigEntry(o, "session.intra_op.allow_spinning", "0");
  if (!s) {
    float_mode old = flush_denormals();
    s = api->CreateSessionFromArray(env, model, size, o, out);
    restore_mode(old);
  }
  api->ReleaseSessionOptions(o);
  return taken(s);
}

char* mixr_session_ports(const OrtSession* s, int which, size_t* count) {
  return taken(which == MIXR_INPUTS ? api->SessionGetInputCount(s, count) : api->SessionGetOutputCount(s, count));
}

// owned copies a string of the host allocator into malloc's memory, so that every string has one way to be freed.
static char* owned(char* text) {
  char* copy = strdup(text);
  host->Free(host, text);
  return copy;
}

char* mixr_end_profiling(OrtSession* s, char** file) {
  char* name;
  OrtStatus* st = api->SessionEndProfiling(s, host, &name);
  if (!st) *file = owned(name);
  return taken(st);
}

static int64_t number_of(const OrtKeyValuePairs* pairs, const char* key) {
  const char* text = api->GetKeyValue(pairs, key);
  return text ? strtoll(text, NULL, 10) : 0;
}

char* mixr_arena(const OrtSession* s, int64_t* held, int64_t* used) {
  OrtAllocator* a = NULL;
  OrtKeyValuePairs* stats = NULL;
  OrtStatus* st = api->CreateAllocator(s, arena, &a);
  if (!st) st = api->AllocatorGetStats(a, &stats);
  if (stats) {
    *held = number_of(stats, "TotalAllocated");
    *used = number_of(stats, "InUse");
    api->ReleaseKeyValuePairs(stats);
  }
  if (a) api->ReleaseAllocator(a);
  return taken(st);
}

static OrtStatus* shape_of(const OrtTensorTypeAndShapeInfo* info, int* type, int64_t* dims, size_t max, size_t* rank) {
  ONNXTensorElementDataType t;
  OrtStatus* s = api->GetTensorElementType(info, &t);
  if (s) return s;
  *type = (int)t;
  s = api->GetDimensionsCount(info, rank);
  if (s) return s;
  if (*rank > max) return api->CreateStatus(ORT_INVALID_ARGUMENT, "a tensor of more dimensions than mixr reads");
  return api->GetDimensions(info, dims, *rank);
}

char* mixr_session_port(const OrtSession* s, int which, size_t index, char** name, int* type, int64_t* dims, size_t max,
                        size_t* rank) {
  OrtTypeInfo* info;
  const OrtTensorTypeAndShapeInfo* tensor;
  char* text;
  OrtStatus* st = which == MIXR_INPUTS ? api->SessionGetInputTypeInfo(s, index, &info)
                                       : api->SessionGetOutputTypeInfo(s, index, &info);
  if (st) return taken(st);
  st = api->CastTypeInfoToTensorInfo(info, &tensor);
  if (!st && !tensor) st = api->CreateStatus(ORT_INVALID_ARGUMENT, "an input or output is not a tensor");
  if (!st) st = shape_of(tensor, type, dims, max, rank);
  api->ReleaseTypeInfo(info);
  if (!st) {
    st = which == MIXR_INPUTS ? api->SessionGetInputName(s, index, host, &text)
                              : api->SessionGetOutputName(s, index, host, &text);
  }
  if (!st) *name = owned(text);
  return taken(st);
}

void mixr_release_session(OrtSession* s) { api->ReleaseSession(s); }

char* mixr_value(int type, const int64_t* dims, size_t rank, OrtValue** out) {
  return taken(api->CreateTensorAsOrtValue(host, dims, rank, (ONNXTensorElementDataType)type, out));
}

char* mixr_view(int type, void* data, size_t bytes, const int64_t* dims, size_t rank, OrtValue** out) {
  return taken(api->CreateTensorWithDataAsOrtValue(memory, data, bytes, dims, rank, (ONNXTensorElementDataType)type, out));
}

char* mixr_value_info(OrtValue* v, int* type, int64_t* dims, size_t max, size_t* rank, void** data) {
  OrtTensorTypeAndShapeInfo* info;
  OrtStatus* s = api->GetTensorTypeAndShape(v, &info);
  if (s) return taken(s);
  s = shape_of(info, type, dims, max, rank);
  api->ReleaseTensorTypeAndShapeInfo(info);
  if (!s) s = api->GetTensorMutableData(v, data);
  return taken(s);
}

void mixr_release_value(OrtValue* v) { api->ReleaseValue(v); }

char* mixr_binding(OrtSession* s, OrtIoBinding** out) { return taken(api->CreateIoBinding(s, out)); }

char* mixr_bind_input(OrtIoBinding* b, const char* name, const OrtValue* v) { return taken(api->BindInput(b, name, v)); }

char* mixr_bind_output(OrtIoBinding* b, const char* name, const OrtValue* v) { return taken(api->BindOutput(b, name, v)); }

char* mixr_bind_output_auto(OrtIoBinding* b, const char* name) { return taken(api->BindOutputToDevice(b, name, memory)); }

char* mixr_bound_outputs(const OrtIoBinding* b, OrtValue*** values, size_t* count) {
  return taken(api->GetBoundOutputValues(b, host, values, count));
}

void mixr_free_bound(OrtValue** values) {
  if (values) host->Free(host, values);
}

static int64_t thread_time(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

char* mixr_run(OrtSession* s, OrtIoBinding* b, int64_t* cpu) {
  int64_t began = cpu ? thread_time() : 0;
  float_mode old = flush_denormals();
  OrtStatus* st = api->RunWithBinding(s, NULL, b);
  restore_mode(old);
  if (cpu) *cpu = thread_time() - began;
  return taken(st);
}

void mixr_release_binding(OrtIoBinding* b) { api->ReleaseIoBinding(b); }
