// A thin sqlite3_vfs: each file holds the real one behind it, and three methods count and fail.
#include "tests/unit/supervisor/store/fault_vfs.h"

#include <sqlite3.h>

#include <cstdlib>

namespace appd::store {
namespace {

struct State {
  sqlite3_vfs* real = nullptr;
  int until_failure = 0;  // 0: nothing fails
  int result = SQLITE_OK;
  bool struck = false;
  int deeds = 0;
  int syncs = 0;
};
State state;
sqlite3_vfs vfs;

// SQLite allocates szOsFile bytes: this, and the real file behind it.
struct File {
  sqlite3_file base;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
File& of(sqlite3_file* file) { return *reinterpret_cast<File*>(file); }
sqlite3_file* real(sqlite3_file* file) { return of(file).real(); }

// The result of the failure if this deed is to fail.
int strike() {
  ++state.deeds;
  if (state.until_failure == 0) return SQLITE_OK;
  if (state.until_failure > 1) {
    --state.until_failure;
    return SQLITE_OK;
  }
  state.struck = true;
  return state.result;
}

int close(sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); }
int read(sqlite3_file* f, void* to, int n, sqlite3_int64 at) {
  return real(f)->pMethods->xRead(real(f), to, n, at);
}
int write(sqlite3_file* f, const void* from, int n, sqlite3_int64 at) {
  if (const int result = strike(); result != SQLITE_OK) {
    // A write that fails may have written a part.
    real(f)->pMethods->xWrite(real(f), from, n / 2, at);
    return result;
  }
  return real(f)->pMethods->xWrite(real(f), from, n, at);
}
int truncate(sqlite3_file* f, sqlite3_int64 size) {
  if (const int result = strike(); result != SQLITE_OK) return result;
  return real(f)->pMethods->xTruncate(real(f), size);
}
int sync(sqlite3_file* f, int flags) {
  ++state.syncs;
  if (const int result = strike(); result != SQLITE_OK) return result;
  return real(f)->pMethods->xSync(real(f), flags);
}
int size(sqlite3_file* f, sqlite3_int64* out) { return real(f)->pMethods->xFileSize(real(f), out); }
int lock(sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); }
int unlock(sqlite3_file* f, int level) { return real(f)->pMethods->xUnlock(real(f), level); }
int check_lock(sqlite3_file* f, int* out) {
  return real(f)->pMethods->xCheckReservedLock(real(f), out);
}
int control(sqlite3_file* f, int op, void* arg) {
  return real(f)->pMethods->xFileControl(real(f), op, arg);
}
int sector(sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); }
int traits(sqlite3_file* f) { return real(f)->pMethods->xDeviceCharacteristics(real(f)); }
int shm_map(sqlite3_file* f, int page, int n, int extend, void volatile** out) {
  return real(f)->pMethods->xShmMap(real(f), page, n, extend, out);
}
int shm_lock(sqlite3_file* f, int at, int n, int flags) {
  return real(f)->pMethods->xShmLock(real(f), at, n, flags);
}
void shm_barrier(sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); }
int shm_unmap(sqlite3_file* f, int remove) { return real(f)->pMethods->xShmUnmap(real(f), remove); }

constexpr sqlite3_io_methods kMethods = {
    2,       close,  read,   write,   truncate, sync,        size,      lock,    unlock, check_lock,
    control, sector, traits, shm_map, shm_lock, shm_barrier, shm_unmap, nullptr, nullptr};

int open(sqlite3_vfs*, const char* name, sqlite3_file* f, int flags, int* out_flags) {
  of(f).base.pMethods = nullptr;
  const int result = state.real->xOpen(state.real, name, real(f), flags, out_flags);
  if (result == SQLITE_OK) of(f).base.pMethods = &kMethods;
  return result;
}

}  // namespace

FaultVfs::FaultVfs() {
  state = State{};
  state.real = sqlite3_vfs_find(nullptr);
  vfs = *state.real;
  vfs.zName = "fault";
  vfs.szOsFile = static_cast<int>(sizeof(File)) + state.real->szOsFile;
  vfs.xOpen = open;
  if (sqlite3_vfs_register(&vfs, /*makeDflt=*/1) != SQLITE_OK) std::abort();
}

FaultVfs::~FaultVfs() { sqlite3_vfs_unregister(&vfs); }

void FaultVfs::fail_from(int n, int result) {
  state.until_failure = n;
  state.result = result;
  state.struck = false;
}
void FaultVfs::heal() { state.until_failure = 0; }
bool FaultVfs::struck() const { return state.struck; }
int FaultVfs::deeds() const { return state.deeds; }
int FaultVfs::syncs() const { return state.syncs; }

}  // namespace appd::store
