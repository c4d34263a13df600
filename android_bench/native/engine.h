/* What the measuring loop needs of a library that runs .tflite files. */
#ifndef EDGESR_ENGINE_H
#define EDGESR_ENGINE_H

#include "libc.h"

#define MAX_RANK 8

struct request {
  const char *library;
  const char *graph;
  const char *accelerator; /* cpu, gpu */
  int threads;             /* 0: the library's own choice */
  int rank;                /* of --input_shape, 0: as the file says */
  i32 shape[MAX_RANK];
};

struct engine {
  const char *name;
  const char *version; /* NULL: the library does not tell */
  int accelerated;     /* 1 the whole graph, 0 not, -1 unknown */
  usize inputs, outputs;
  usize input_bytes; /* of all inputs */
  int (*run)(struct engine *self);
  void *state;
};

/* Each opens the graph, fills its inputs and returns 0, or ends the program by fail(). */
int open_litert(void *library, const struct request *request, struct engine *engine);
int open_tflite(void *library, const struct request *request, struct engine *engine);

/* Print {"error": what, "detail": detail, "status": status} and exit with 1. */
void fail(const char *what, const char *detail, int status);

/* Look up a function or fail. */
void *need(void *library, const char *name);

enum filling { FILL_ZERO, FILL_BYTES, FILL_FLOAT };

/* Fill an input with repeatable random numbers: bytes, or floats in [0, 1). */
void fill(void *data, usize length, enum filling filling);

#endif
