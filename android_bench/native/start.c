/* Entry of a program for Android's C library, in place of the NDK's crtbegin: hand the raw argument
 * block to __libc_init, which runs main and exits. */
struct arrays {
  void (**preinit)(void);
  void (**init)(void);
  void (**fini)(void);
};

extern void __libc_init(void *raw, void (*on_exit)(void), int (*program)(int, char **, char **),
                        const struct arrays *arrays);
extern int main(int, char **, char **);

static void (*none[])(void) = {(void (*)(void)) - 1, 0};
static const struct arrays ARRAYS = {none, none, none};

__attribute__((used)) void start_c(void *raw) {
  __libc_init(raw, 0, main, &ARRAYS);
}

#if defined(__aarch64__)
__asm__(".text\n.globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tb start_c\n");
#elif defined(__x86_64__)
__asm__(".text\n.globl _start\n_start:\n\txor %rbp, %rbp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall start_c\n");
#else
#error "aarch64 or x86-64"
#endif
