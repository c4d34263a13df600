/* The few functions of the C library that the runner calls, declared by hand: so it builds for
 * Android without the NDK's headers. LP64 targets only (aarch64, x86-64). */
#ifndef EDGESR_LIBC_H
#define EDGESR_LIBC_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef int i32;
typedef unsigned long usize;

#define NULL ((void *)0)

struct timespec_lp64 {
  long seconds;
  long nanoseconds;
};

extern void *dlopen(const char *path, int flags);
extern void *dlsym(void *library, const char *name);
extern char *dlerror(void);
extern int clock_gettime(int clock, struct timespec_lp64 *now);
extern int printf(const char *format, ...);
extern int open(const char *path, int flags, ...);
extern long read(int file, void *buffer, usize length);
extern int close(int file);
extern void *malloc(usize length);
extern void *realloc(void *memory, usize length);
extern int atoi(const char *text);
extern double atof(const char *text);
extern int strcmp(const char *left, const char *right);
extern int strncmp(const char *left, const char *right, usize length);
extern usize strlen(const char *text);
extern char *strstr(const char *text, const char *part);
extern void *memset(void *memory, int value, usize length);
extern void exit(int code);

#endif
