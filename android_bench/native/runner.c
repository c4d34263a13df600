/* Measure a .tflite file and print every latency: one line of JSON on standard output.
 *
 * Google's benchmark_model prints no single samples, so a true p90 or p99 and the curve of a phone
 * that heats up cannot be had from it. The library is opened at run time: nothing is linked in.
 */
#include "engine.h"

#define SCHEMA "edgesr.runner/1"
#define VERSION "1"

static const char USAGE[] =
    "usage: edgesr-runner --library=LIB --graph=MODEL [flags]\n"
    "  --library=PATH      libLiteRt.so (2.1.6 or newer) or libtensorflowlite_c.so\n"
    "  --graph=PATH        .tflite file; its first signature is run\n"
    "  --accelerator=cpu   cpu or gpu (gpu: libLiteRt only)\n"
    "  --num_threads=0     0 leaves it to the library\n"
    "  --input_shape=      such as 1,64,64,3; without it as the file says\n"
    "  --warmup_runs=10    runs that are reported apart\n"
    "  --num_runs=50       measured runs, at least\n"
    "  --min_secs=0        measure at least so long\n"
    "  --max_secs=150      start no run after so long\n"
    "exit codes: 0 measured, 1 refused (JSON with \"error\"), 2 usage\n";

static double now_us(void) {
  struct timespec_lp64 now;
  clock_gettime(1 /* CLOCK_MONOTONIC */, &now);
  return (double)now.seconds * 1e6 + (double)now.nanoseconds / 1e3;
}

static void print_text(const char *text) {
  printf("\"");
  for (; text && *text; text++) {
    if (*text == '"' || *text == '\\') printf("\\");
    if ((u8)*text >= ' ') printf("%c", *text);
  }
  printf("\"");
}

void fail(const char *what, const char *detail, int status) {
  printf("{\"schema\":\"" SCHEMA "\",\"error\":");
  print_text(what);
  printf(",\"detail\":");
  print_text(detail);
  printf(",\"status\":%d}\n", status);
  exit(1);
}

void *need(void *library, const char *name) {
  void *found = dlsym(library, name);
  if (!found) fail("the library is too old or of another kind: no such function", name, 0);
  return found;
}

void fill(void *data, usize length, enum filling filling) {
  u32 state = 2463534242u; /* xorshift32 */
  memset(data, 0, length);
  usize step = filling == FILL_FLOAT ? sizeof(float) : 1;
  for (usize at = 0; filling != FILL_ZERO && at + step <= length; at += step) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    if (filling == FILL_FLOAT)
      *(float *)((u8 *)data + at) = (float)(state >> 8) / 16777216.0f;
    else
      ((u8 *)data)[at] = (u8)(state >> 24);
  }
}

struct samples {
  usize count, room;
  double *at_us, *took_us; /* since the first measured run began; of each run */
};

/* Room is made before the clock starts. */
static void grow(struct samples *s) {
  if (s->count < s->room) return;
  s->room = s->room ? s->room * 2 : 4096;
  s->at_us = realloc(s->at_us, s->room * sizeof *s->at_us);
  s->took_us = realloc(s->took_us, s->room * sizeof *s->took_us);
  if (!s->at_us || !s->took_us) fail("memory", "no room for the samples", 0);
}

static struct samples measure(struct engine *engine, usize runs, double min_us, double max_us) {
  struct samples s = {0, 0, NULL, NULL};
  double begin = now_us(), end = begin;
  while ((s.count < runs || end - begin < min_us) && end - begin <= max_us) {
    grow(&s);
    double start = now_us();
    int status = engine->run(engine);
    end = now_us();
    if (status) fail("run", "the library failed while it ran the graph", status);
    s.at_us[s.count] = start - begin;
    s.took_us[s.count++] = end - start;
  }
  return s;
}

static void print_list(const char *name, const double *values, usize count) {
  printf(",\"%s\":[", name);
  for (usize i = 0; i < count; i++) printf(i ? ",%.1f" : "%.1f", values[i]);
  printf("]");
}

/* Peak resident memory in KiB, 0 where /proc does not tell. */
static int peak_kib(void) {
  static char text[4096];
  int file = open("/proc/self/status", 0);
  if (file < 0) return 0;
  long length = read(file, text, sizeof text - 1);
  close(file);
  text[length > 0 ? length : 0] = 0;
  char *found = strstr(text, "VmHWM:");
  return found ? atoi(found + sizeof "VmHWM:" - 1) : 0;
}

static const char *value(const char *argument, const char *name) {
  usize length = strlen(name);
  return strncmp(argument, name, length) ? NULL : argument + length;
}

static void usage(const char *what) {
  printf("%s%s%s", what, *what ? ": not understood\n" : "", USAGE);
  exit(2);
}

static void read_shape(const char *text, struct request *request) {
  while (*text && request->rank < MAX_RANK) {
    i32 size = atoi(text);
    if (size < 1) usage("--input_shape");
    request->shape[request->rank++] = size;
    while (*text >= '0' && *text <= '9') text++;
    if (*text == ',') text++;
    else if (*text) usage("--input_shape");
  }
}

int main(int count, char **words) {
  struct request request = {NULL, NULL, "cpu", 0, 0, {0}};
  int warmup = 10, runs = 50;
  double min_secs = 0, max_secs = 150;
  for (int i = 1; i < count; i++) {
    const char *word = words[i], *text;
    if ((text = value(word, "--library="))) request.library = text;
    else if ((text = value(word, "--graph="))) request.graph = text;
    else if ((text = value(word, "--accelerator="))) request.accelerator = text;
    else if ((text = value(word, "--num_threads="))) request.threads = atoi(text);
    else if ((text = value(word, "--input_shape="))) read_shape(text, &request);
    else if ((text = value(word, "--warmup_runs="))) warmup = atoi(text);
    else if ((text = value(word, "--num_runs="))) runs = atoi(text);
    else if ((text = value(word, "--min_secs="))) min_secs = atof(text);
    else if ((text = value(word, "--max_secs="))) max_secs = atof(text);
    else if (!strcmp(word, "--help")) usage("");
    else usage(word);
  }
  int known = !strcmp(request.accelerator, "cpu") || !strcmp(request.accelerator, "gpu");
  if (!known) usage("--accelerator");
  if (!request.library || !request.graph) usage("--library and --graph");
  if (runs < 1 || warmup < 0 || request.threads < 0 || request.threads > 9999) usage("a number");

  double start = now_us();
  void *library = dlopen(request.library, 2 /* RTLD_NOW */);
  if (!library) fail("dlopen", dlerror(), 0);
  struct engine engine;
  if (dlsym(library, "LiteRtCreateEnvironment")) open_litert(library, &request, &engine);
  else open_tflite(library, &request, &engine);
  double init = now_us() - start;
  struct samples warm = measure(&engine, (usize)warmup, 0, max_secs * 1e6);
  struct samples main = measure(&engine, (usize)runs, min_secs * 1e6, max_secs * 1e6);

  printf("{\"schema\":\"" SCHEMA "\",\"version\":\"" VERSION "\",\"engine\":\"%s\"", engine.name);
  printf(",\"engine_version\":");
  if (engine.version) print_text(engine.version);
  else printf("null");
  printf(",\"accelerator\":\"%s\",\"fully_accelerated\":", request.accelerator);
  printf(engine.accelerated < 0 ? "null" : engine.accelerated ? "true" : "false");
  printf(",\"num_threads\":%d,\"inputs\":%d", request.threads, (int)engine.inputs);
  printf(",\"outputs\":%d,\"input_bytes\":%ld", (int)engine.outputs, (long)engine.input_bytes);
  printf(",\"init_us\":%.1f,\"peak_kib\":%d", init, peak_kib());
  print_list("warmup_us", warm.took_us, warm.count);
  print_list("at_us", main.at_us, main.count);
  print_list("samples_us", main.took_us, main.count);
  printf("}\n");
  return 0;
}
