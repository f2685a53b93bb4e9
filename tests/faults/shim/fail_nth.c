/* Loaded into appd before all other libraries: makes the N-th call of a kind fail.
 *
 * FAIL_CONTROL names a file that the test and this library map: the test sets `countdown` to N, and
 * the N-th call from then on fails with `error`; with `lasting`, all that follow fail too. Calls
 * are those that write to files named appd.db* (FAIL_CALLS=store), or all that allocate
 * (FAIL_CALLS=memory). In a process of another name than FAIL_PROCESS nothing is counted and
 * nothing fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct control {
  atomic_int countdown; /* 0: nothing is counted */
  int error;
  int lasting;
  atomic_int failures;
};

static struct control nothing;
static struct control* control = &nothing;
static int of_store, of_memory;

__attribute__((constructor)) static void begin(void) {
  const char* path = getenv("FAIL_CONTROL");
  const char* process = getenv("FAIL_PROCESS");
  const char* calls = getenv("FAIL_CALLS");
  if (path == NULL || process == NULL || calls == NULL) return;
  if (strcmp(program_invocation_short_name, process) != 0) return;
  int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (map == MAP_FAILED) return;
  control = map;
  of_store = strcmp(calls, "store") == 0;
  of_memory = strcmp(calls, "memory") == 0;
}

/* Whether this call is to fail; errno says how. */
static int strike(void) {
  int left = atomic_load(&control->countdown);
  do {
    if (left == 0) return 0;
    if (left == 1 && control->lasting) break;
  } while (!atomic_compare_exchange_weak(&control->countdown, &left, left - 1));
  if (left > 1) return 0;
  atomic_fetch_add(&control->failures, 1);
  errno = control->error;
  return 1;
}

static int is_store(int fd) {
  if (!of_store || atomic_load(&control->countdown) == 0) return 0;
  char link[32], path[4096];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof(path) - 1);
  if (size <= 0) return 0;
  path[size] = '\0';
  const char* name = strrchr(path, '/');
  return name != NULL && strncmp(name, "/appd.db", 8) == 0;
}

/* The library's own function of this name. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void* from, size_t size) {
  if (is_store(fd) && strike()) return -1;
  return NEXT(write)(fd, from, size);
}

/* One that fails has written a part before, as a full disk does. */
ssize_t pwrite(int fd, const void* from, size_t size, off_t at) {
  if (is_store(fd) && strike()) {
    int error = errno;
    NEXT(pwrite)(fd, from, size / 2, at);
    errno = error;
    return -1;
  }
  return NEXT(pwrite)(fd, from, size, at);
}

ssize_t pwrite64(int fd, const void* from, size_t size, off64_t at) {
  return pwrite(fd, from, size, at);
}

int fsync(int fd) { return is_store(fd) && strike() ? -1 : NEXT(fsync)(fd); }

int fdatasync(int fd) { return is_store(fd) && strike() ? -1 : NEXT(fdatasync)(fd); }

int ftruncate(int fd, off_t size) {
  return is_store(fd) && strike() ? -1 : NEXT(ftruncate)(fd, size);
}

int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);

void* malloc(size_t size) { return of_memory && strike() ? NULL : __libc_malloc(size); }

void* calloc(size_t count, size_t size) {
  return of_memory && strike() ? NULL : __libc_calloc(count, size);
}

void* realloc(void* old, size_t size) {
  return of_memory && strike() ? NULL : __libc_realloc(old, size);
}
