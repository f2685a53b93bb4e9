// A TOML or JSON text as one kind of tree that knows the line and column of everything in it, so
// that what is wrong with a manifest can be shown where it is. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/result.h"

namespace appd::ctl {

struct Position {
  int line = 0;  // from 1; 0: unknown
  int column = 0;
};

// One thing that is wrong with a document.
struct Problem {
  Position at;
  std::string message;
};

struct Entry;

struct Node {
  using Array = std::vector<Node>;
  using Table = std::vector<Entry>;  // in the order of the text
  struct Null {};
  Position at;
  std::variant<Null, bool, std::int64_t, double, std::string, Array, Table> value;

  const Table* table() const { return std::get_if<Table>(&value); }
  const Array* array() const { return std::get_if<Array>(&value); }
  const std::string* string() const { return std::get_if<std::string>(&value); }
};

struct Entry {
  std::string key;
  Position at;
  Node value;
};

// "a table", "a number": for messages.
std::string kind_of(const Node& node);
const Node* find(const Node::Table& table, std::string_view key);

enum class DocumentFormat { Toml, Json };
// By the file's name; when that does not tell, by the first character (TOML cannot start with '{').
DocumentFormat guess_format(std::string_view file, std::string_view text);
// The root is a table. At most one problem: parsing ends there.
std::variant<Node, Problem> parse_document(std::string_view text, DocumentFormat format);

}  // namespace appd::ctl
