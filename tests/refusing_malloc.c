/* Preloaded: malloc, calloc and realloc that refuse some requests, as a full memory does.

   The test says which, by a file that both have mapped: of all that ask, or of those only who do so from an object of
   fastpath/, which is the core; the interpreter is left alone then. dladdr(3), ld.so(8) (LD_PRELOAD). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

struct control {
    uint64_t armed;         /* 1: for the core, 2: for everybody */
    uint64_t asked;         /* requests since it was armed */
    uint64_t first, count;  /* those that are refused; 0 is the first */
    uint64_t refused;
};

static struct control *control;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("REFUSING_MALLOC");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *mapped = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED)
        control = mapped;
    if (file >= 0)
        close(file);
}

static int refuses(const void *caller) {
    Dl_info object;
    uint64_t number, armed = control ? __atomic_load_n(&control->armed, __ATOMIC_ACQUIRE) : 0;
    if (!armed)
        return 0;
    if (armed == 1 && (!dladdr(caller, &object) || !strstr(object.dli_fname, "/fastpath/")))
        return 0;
    number = __atomic_fetch_add(&control->asked, 1, __ATOMIC_RELAXED);
    if (number < control->first || number - control->first >= control->count)
        return 0;
    __atomic_fetch_add(&control->refused, 1, __ATOMIC_RELAXED);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t octets) {
    return refuses(__builtin_return_address(0)) ? NULL : __libc_malloc(octets);
}

void *calloc(size_t count, size_t octets) {
    return refuses(__builtin_return_address(0)) ? NULL : __libc_calloc(count, octets);
}

void *realloc(void *before, size_t octets) {
    return refuses(__builtin_return_address(0)) ? NULL : __libc_realloc(before, octets);
}
