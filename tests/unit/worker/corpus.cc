// Reads below APPD_CORPUS, which the build sets.
#include "tests/unit/worker/corpus.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace appd::test {

namespace {

// Not a constant: tests are registered before main() and ask for names.
std::filesystem::path corpus() { return APPD_CORPUS; }

}  // namespace

std::vector<std::string> corpus_names(std::string_view folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(corpus() / folder)) {
    names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string corpus_file(std::string_view path) {
  std::ostringstream text;
  text << std::ifstream(corpus() / path, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace appd::test
