// The files of tests/corpus: in each folder inputs of one kind, whose names begin with the verdict.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace appd::test {

// The names of a folder's files, sorted, without their endings.
std::vector<std::string> corpus_names(std::string_view folder);
// The bytes of "folder/name.ending"; none if there is no such file.
std::string corpus_file(std::string_view path);

}  // namespace appd::test
