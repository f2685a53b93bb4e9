// Succession: how one appd becomes another in the same process, while everything serves.
//
// The next binary is asked first whether it could do the work (appd --check). Then it is executed
// in place (execve(2)): pid, lock and API sockets stay, so that no client of the API is refused and
// nobody who watches the pid (systemd) notices. To the apps it is the same as a killed appd.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"

namespace appd::runtime {

// What the present appd leaves to the next: open descriptors, and who wants to know how it went.
struct Inheritance {
  UniqueFd lock;
  std::vector<UniqueFd> entrances;  // listening API sockets
  std::string version;      // of the appd that was there before; empty: nothing is inherited
  std::string request_id;   // of the call that asked for it; may be empty, and so
  std::string fingerprint;  // of what it asked

  // From the environment variable that become() has set, which is taken out of it.
  static Inheritance take();
};

// How this appd was started, and would be again.
struct Invocation {
  std::string binary;                  // absolute
  std::vector<std::string> arguments;  // without the program's name
  static Invocation of_this_process(int argc, char** argv);
};

// What `binary --check` answers, "0.2.0", or why it would not do. Any thread; takes a while.
Result<std::string> check_binary(const Invocation& next);

// The same, still in its owner's hands.
struct Legacy {
  int lock = -1;
  std::vector<int> entrances;
  std::string version;
  std::string request_id;
  std::string fingerprint;
};
// Does not return if all goes well: this process is the next appd then.
Error become(const Invocation& next, const Legacy& legacy);

}  // namespace appd::runtime
