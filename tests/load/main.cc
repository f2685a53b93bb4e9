// loadgen: keeps a server under load and accounts for every request. Exits 1 when one failed.
#include <csignal>
#include <cstdio>

#include "tests/load/client.h"

int main(int argc, char** argv) {
  auto options = appd::load::parse_options(argc, argv);
  if (!options) {
    std::fprintf(stderr, "%sloadgen: %s\n", appd::load::usage().c_str(),
                 options.error().message.c_str());
    return 2;
  }
  bool json = options->json;
  appd::load::Client client(std::move(options).value());
  if (auto done = client.run(); !done) {
    std::fprintf(stderr, "loadgen: %s\n", done.error().message.c_str());
    return 2;
  }
  std::puts((json ? client.report().json() : client.report().text()).c_str());
  return client.report().failed() == 0 ? 0 : 1;
}
