/* TensorFlow Lite's C API (libtensorflowlite_c.so), on the CPU with the default delegate. */
#include "engine.h"

enum { FLOAT32 = 1, UINT8 = 3, INT8 = 9 }; /* c_api_types.h: TfLiteType */

static struct {
  const char *(*version)(void);
  void *(*create_model)(const char *);
  void *(*create_options)(void);
  void (*set_threads)(void *, i32);
  void *(*create)(const void *, const void *);
  i32 (*count_inputs)(const void *);
  i32 (*count_outputs)(const void *);
  int (*resize)(void *, i32, const int *, i32);
  int (*allocate)(void *);
  void *(*input)(const void *, i32);
  int (*type)(const void *);
  void *(*data)(const void *);
  usize (*bytes)(const void *);
  int (*invoke)(void *);
} api;

/* in the order of the struct above */
static const char *const NAMES[] = {
    "TfLiteVersion",
    "TfLiteModelCreateFromFile",
    "TfLiteInterpreterOptionsCreate",
    "TfLiteInterpreterOptionsSetNumThreads",
    "TfLiteInterpreterCreate",
    "TfLiteInterpreterGetInputTensorCount",
    "TfLiteInterpreterGetOutputTensorCount",
    "TfLiteInterpreterResizeInputTensor",
    "TfLiteInterpreterAllocateTensors",
    "TfLiteInterpreterGetInputTensor",
    "TfLiteTensorType",
    "TfLiteTensorData",
    "TfLiteTensorByteSize",
    "TfLiteInterpreterInvoke",
};

static int run(struct engine *self) { return api.invoke(self->state); }

int open_tflite(void *library, const struct request *request, struct engine *engine) {
  if (strcmp(request->accelerator, "cpu"))
    fail("accelerator", "libtensorflowlite_c is run on the CPU only", 0);
  for (usize i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
    ((void **)&api)[i] = need(library, NAMES[i]);
  void *model = api.create_model(request->graph);
  if (!model) fail("TfLiteModelCreateFromFile", request->graph, 0);
  void *options = api.create_options();
  if (request->threads > 0) api.set_threads(options, request->threads);
  void *interpreter = api.create(model, options);
  if (!interpreter) fail("TfLiteInterpreterCreate", request->graph, 0);
  if (request->rank && api.resize(interpreter, 0, request->shape, request->rank))
    fail("--input_shape", "TfLiteInterpreterResizeInputTensor", 1);
  if (api.allocate(interpreter)) fail("TfLiteInterpreterAllocateTensors", request->graph, 1);
  engine->inputs = (usize)api.count_inputs(interpreter);
  engine->outputs = (usize)api.count_outputs(interpreter);
  engine->input_bytes = 0;
  for (usize i = 0; i < engine->inputs; i++) {
    void *tensor = api.input(interpreter, (i32)i);
    int type = api.type(tensor), whole = type == UINT8 || type == INT8;
    usize size = api.bytes(tensor);
    fill(api.data(tensor), size, type == FLOAT32 ? FILL_FLOAT : whole ? FILL_BYTES : FILL_ZERO);
    engine->input_bytes += size;
  }
  engine->name = "tflite_c";
  engine->version = api.version();
  engine->accelerated = -1;
  engine->state = interpreter;
  engine->run = run;
  return 0;
}
