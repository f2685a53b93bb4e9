// appctl: the command line of appd.
#include <unistd.h>

#include <string>
#include <vector>

#include "ctl/cli.h"

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const appd::ctl::ExitCode code = appd::ctl::run(arguments, appd::ctl::standard_io());
  // run() has flushed. Not through exit(): gRPC's static teardown joins its threads, which takes a
  // millisecond that the caller would wait for.
  ::_exit(static_cast<int>(code));
}
