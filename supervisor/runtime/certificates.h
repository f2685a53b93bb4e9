// Certificates: the PEM files of a TLS entrance, which may change while appd runs.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "common/result.h"
#include "supervisor/model/access.h"

namespace appd::runtime {

// What the files hold, fit for use: the key is the certificate's, and nothing is missing.
struct Pem {
  std::string chain;
  std::string key;
  std::string client_ca;                          // empty: clients have no certificates
  std::chrono::system_clock::time_point expires;  // the server's certificate
};

// Any thread. Looks at the files when it is asked to: nobody wakes up for that.
class Certificates {
 public:
  // The error names the option and the file, and says what to do.
  static Result<std::unique_ptr<Certificates>> load(const model::Entrance& entrance);

  struct News {
    std::shared_ptr<const Pem> pem;  // to be used: the files', or the last that were fit
    bool changed = false;            // since refresh() was called last
    std::optional<Error> refused;    // the files have changed since then, to something unfit
  };
  News refresh();
  std::shared_ptr<const Pem> present() const;
  const model::Entrance& settings() const { return entrance_; }

 private:
  // Of each file, what changes when it is written or replaced.
  struct Look {
    dev_t device = 0;
    ino_t inode = 0;
    std::int64_t time = 0;
    off_t size = -1;
    bool operator==(const Look&) const = default;
  };
  using Looks = std::array<Look, 3>;

  explicit Certificates(model::Entrance entrance) : entrance_(std::move(entrance)) {}
  Looks look() const;
  Result<Pem> read() const;

  const model::Entrance entrance_;
  mutable std::mutex mutex_;  // guards what follows
  Looks seen_;
  std::shared_ptr<const Pem> pem_;
};

}  // namespace appd::runtime
