/* LiteRT's C API (libLiteRt.so 2.1.6 or newer: models are opened with an environment). */
#include "engine.h"

/* litert_layout.h: rank in 7 bits, then has_strides in 1 */
struct layout {
  u32 rank_and_flag;
  i32 dimensions[MAX_RANK];
  u32 strides[MAX_RANK];
};

struct tensor_type {
  i32 element;
  struct layout layout;
};

enum { FLOAT32 = 1, UINT8 = 3, INT8 = 9 }; /* litert_model_types.h, as in TfLiteType */
enum { CPU = 1, GPU = 2 };                 /* litert_common.h: LiteRtHwAccelerators */
enum { LOCK_READ = 0, LOCK_WRITE = 1 };

static struct {
  int (*create_environment)(int, const void *, void **);
  int (*create_model)(void *, const char *, void **);
  int (*create_options)(void **);
  int (*set_accelerators)(void *, int);
  int (*create_opaque)(const char *, void *, void (*)(void *), void **);
  int (*add_opaque)(void *, void *);
  int (*compile)(void *, void *, void *, void **);
  int (*fully_accelerated)(void *, u8 *);
  int (*resize)(void *, usize, usize, const i32 *, usize);
  int (*input_layout)(void *, usize, usize, struct layout *);
  int (*output_layouts)(void *, usize, usize, struct layout *, u8);
  int (*signature)(void *, usize, void **);
  int (*count_inputs)(void *, usize *);
  int (*count_outputs)(void *, usize *);
  int (*input_tensor)(void *, usize, void **);
  int (*output_tensor)(void *, usize, void **);
  int (*tensor_type)(void *, struct tensor_type *);
  int (*input_needs)(void *, usize, usize, void **);
  int (*output_needs)(void *, usize, usize, void **);
  int (*create_buffer)(void *, const struct tensor_type *, void *, void **);
  int (*buffer_size)(void *, usize *);
  int (*lock)(void *, void **, int);
  int (*unlock)(void *);
  int (*run)(void *, usize, usize, void **, usize, void **);
} api;

/* in the order of the struct above */
static const char *const NAMES[] = {
    "LiteRtCreateEnvironment",
    "LiteRtCreateModelFromFile",
    "LiteRtCreateOptions",
    "LiteRtSetOptionsHardwareAccelerators",
    "LiteRtCreateOpaqueOptions",
    "LiteRtAddOpaqueOptions",
    "LiteRtCreateCompiledModel",
    "LiteRtCompiledModelIsFullyAccelerated",
    "LiteRtCompiledModelResizeInputTensor",
    "LiteRtGetCompiledModelInputTensorLayout",
    "LiteRtGetCompiledModelOutputTensorLayouts",
    "LiteRtGetModelSignature",
    "LiteRtGetNumSignatureInputs",
    "LiteRtGetNumSignatureOutputs",
    "LiteRtGetSignatureInputTensorByIndex",
    "LiteRtGetSignatureOutputTensorByIndex",
    "LiteRtGetRankedTensorType",
    "LiteRtGetCompiledModelInputBufferRequirements",
    "LiteRtGetCompiledModelOutputBufferRequirements",
    "LiteRtCreateManagedTensorBufferFromRequirements",
    "LiteRtGetTensorBufferPackedSize",
    "LiteRtLockTensorBuffer",
    "LiteRtUnlockTensorBuffer",
    "LiteRtRunCompiledModel",
};

struct model {
  void *compiled;
  usize inputs, outputs;
  void **in, **out;
};

static void check(int status, const char *what) {
  if (status) fail(what, "LiteRT refused", status);
}

static void keep(void *payload) { (void)payload; }

/* A run is over when its outputs can be read: an accelerator may return before it has finished. */
static int run(struct engine *self) {
  struct model *m = self->state;
  int status = api.run(m->compiled, 0, m->inputs, m->in, m->outputs, m->out);
  for (usize i = 0; i < m->outputs && !status; i++) {
    void *data = NULL;
    status = api.lock(m->out[i], &data, LOCK_READ);
    if (!status) status = api.unlock(m->out[i]);
  }
  return status;
}

static void *make_options(const struct request *request) {
  /* The library reads CPU options as a line of TOML under the name "xnnpack". */
  static char toml[] = "num_threads = 0000\n";
  void *options = NULL, *opaque = NULL;
  check(api.create_options(&options), "LiteRtCreateOptions");
  int gpu = !strcmp(request->accelerator, "gpu");
  check(api.set_accelerators(options, gpu ? GPU : CPU), "LiteRtSetOptionsHardwareAccelerators");
  if (request->threads > 0) {
    char *digit = toml + sizeof "num_threads = " - 1;
    usize at = 0;
    for (int unit = 1000; unit; unit /= 10)
      if (request->threads >= unit) digit[at++] = (char)('0' + request->threads / unit % 10);
    digit[at] = '\n';
    digit[at + 1] = 0;
    check(api.create_opaque("xnnpack", toml, keep, &opaque), "LiteRtCreateOpaqueOptions");
    check(api.add_opaque(options, opaque), "LiteRtAddOpaqueOptions");
  }
  return options;
}

static void make_inputs(void *environment, void *signature, struct model *m, usize *bytes) {
  for (usize i = 0; i < m->inputs; i++) {
    void *tensor = NULL, *needs = NULL, *data = NULL;
    struct tensor_type type;
    usize size = 0;
    check(api.input_tensor(signature, i, &tensor), "LiteRtGetSignatureInputTensorByIndex");
    check(api.tensor_type(tensor, &type), "LiteRtGetRankedTensorType");
    check(api.input_layout(m->compiled, 0, i, &type.layout), "input tensor layout");
    check(api.input_needs(m->compiled, 0, i, &needs), "input buffer requirements");
    check(api.create_buffer(environment, &type, needs, m->in + i), "input buffer");
    check(api.buffer_size(m->in[i], &size), "LiteRtGetTensorBufferPackedSize");
    check(api.lock(m->in[i], &data, LOCK_WRITE), "LiteRtLockTensorBuffer");
    int whole = type.element == UINT8 || type.element == INT8;
    fill(data, size, type.element == FLOAT32 ? FILL_FLOAT : whole ? FILL_BYTES : FILL_ZERO);
    check(api.unlock(m->in[i]), "LiteRtUnlockTensorBuffer");
    *bytes += size;
  }
}

static void make_outputs(void *environment, void *signature, struct model *m) {
  struct layout *layouts = malloc(m->outputs * sizeof *layouts);
  check(api.output_layouts(m->compiled, 0, m->outputs, layouts, 1), "output tensor layouts");
  for (usize i = 0; i < m->outputs; i++) {
    void *tensor = NULL, *needs = NULL;
    struct tensor_type type;
    check(api.output_tensor(signature, i, &tensor), "LiteRtGetSignatureOutputTensorByIndex");
    check(api.tensor_type(tensor, &type), "LiteRtGetRankedTensorType");
    type.layout = layouts[i];
    check(api.output_needs(m->compiled, 0, i, &needs), "output buffer requirements");
    check(api.create_buffer(environment, &type, needs, m->out + i), "output buffer");
  }
}

int open_litert(void *library, const struct request *request, struct engine *engine) {
  void *environment = NULL, *model = NULL, *signature = NULL;
  struct model *m = malloc(sizeof *m);
  for (usize i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
    ((void **)&api)[i] = need(library, NAMES[i]);
  check(api.create_environment(0, NULL, &environment), "LiteRtCreateEnvironment");
  check(api.create_model(environment, request->graph, &model), "LiteRtCreateModelFromFile");
  void *options = make_options(request);
  check(api.compile(environment, model, options, &m->compiled), "LiteRtCreateCompiledModel");
  check(api.signature(model, 0, &signature), "LiteRtGetModelSignature");
  check(api.count_inputs(signature, &m->inputs), "LiteRtGetNumSignatureInputs");
  check(api.count_outputs(signature, &m->outputs), "LiteRtGetNumSignatureOutputs");
  m->in = malloc(m->inputs * sizeof *m->in);
  m->out = malloc(m->outputs * sizeof *m->out);
  if (request->rank)
    check(api.resize(m->compiled, 0, 0, request->shape, (usize)request->rank), "--input_shape");
  engine->input_bytes = 0;
  make_outputs(environment, signature, m);
  make_inputs(environment, signature, m, &engine->input_bytes);
  u8 whole = 0;
  int told = !api.fully_accelerated(m->compiled, &whole);
  /* of the CPU the library says "not accelerated", whatever ran */
  engine->accelerated = told && strcmp(request->accelerator, "cpu") ? whole : -1;
  engine->name = "litert";
  engine->version = NULL;
  engine->inputs = m->inputs;
  engine->outputs = m->outputs;
  engine->state = m;
  engine->run = run;
  return 0;
}
