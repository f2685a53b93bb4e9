// A file system for SQLite that fails on command, between SQLite and the real one.
#pragma once

namespace appd::store {

// While it lives, every file that SQLite opens anew goes through it. One at a time; one thread.
class FaultVfs {
 public:
  FaultVfs();
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  // The n-th write, sync or truncation from now on (from 1) and all after it answer `result`.
  void fail_from(int n, int result);
  void heal();
  // Whether a call has failed since fail_from().
  bool struck() const;
  // Writes, syncs and truncations; syncs alone. Since the beginning.
  int deeds() const;
  int syncs() const;
};

}  // namespace appd::store
