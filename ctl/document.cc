// Parsing is toml++'s and nlohmann::json's; here their events and nodes become one tree.
#include "ctl/document.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace appd::ctl {
namespace {

constexpr std::size_t kDeepest = 32;  // no manifest nests deeper than 4

Position position(const toml::source_position& at) {
  return {static_cast<int>(at.line), static_cast<int>(at.column)};
}

Node from_toml(const toml::node& node);

Node::Table from_toml_table(const toml::table& table) {
  Node::Table entries;
  for (auto&& [key, value] : table) {
    entries.push_back({std::string(key.str()), position(key.source().begin), from_toml(value)});
  }
  // toml++ sorts by key.
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.at.line, a.at.column) < std::pair(b.at.line, b.at.column);
  });
  return entries;
}

// toml++ itself bounds the depth (256), so this recursion is bounded too.
Node from_toml(const toml::node& node) {
  Node out;
  out.at = position(node.source().begin);
  if (const toml::table* table = node.as_table()) {
    out.value = from_toml_table(*table);
  } else if (const toml::array* array = node.as_array()) {
    Node::Array items;
    for (const toml::node& item : *array) items.push_back(from_toml(item));
    out.value = std::move(items);
  } else if (const auto string = node.value_exact<std::string>()) {
    out.value = *string;
  } else if (const auto integer = node.value_exact<std::int64_t>()) {
    out.value = *integer;
  } else if (const auto boolean = node.value_exact<bool>()) {
    out.value = *boolean;
  } else if (const auto number = node.value_exact<double>()) {
    out.value = *number;
  }  // a date stays Null: no field takes one
  return out;
}

std::variant<Node, Problem> parse_toml(std::string_view text) {
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    return Problem{position(parsed.error().source().begin),
                   std::string(parsed.error().description())};
  }
  Node root = from_toml(parsed.table());
  root.at = {1, 1};
  return root;
}

// Counts lines while nlohmann's lexer reads. The lexer stops right behind a token, so at each event
// this is the end of the token.
struct Counted {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at = nullptr;
  Position* where = nullptr;

  reference operator*() const { return *at; }
  Counted& operator++() {
    if (where != nullptr) {
      where->column = *at == '\n' ? 1 : where->column + 1;
      where->line += *at == '\n' ? 1 : 0;
    }
    ++at;
    return *this;
  }
  Counted operator++(int) {
    Counted before = *this;
    ++*this;
    return before;
  }
  bool operator==(const Counted& other) const { return at == other.at; }
  bool operator!=(const Counted& other) const { return at != other.at; }
};

// Builds the tree from nlohmann's events; false stops the parser.
class JsonBuilder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit JsonBuilder(const Position& where) : where_(where) {}

  bool null() override { return put(Node::Null{}); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > INT64_MAX) return fail("the number is too large");
    return put(static_cast<std::int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return fail("binary values are no JSON"); }
  bool start_object(std::size_t) override { return open(Node::Table{}); }
  bool start_array(std::size_t) override { return open(Node::Array{}); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    key_ = name;
    key_at_ = where_;
    key_at_.column = std::max(1, key_at_.column - static_cast<int>(name.size()) - 2);
    if (find(*open_.back().node.table(), name) != nullptr) {
      return fail("'" + name + "' is given twice");
    }
    return true;
  }
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error …"
    std::string text = error.what();
    // It may end with what was read last: some value, perhaps a secret.
    text.erase(std::min(text.find("; last read: "), text.size()));
    const std::size_t at = text.find("column ");
    const std::size_t colon = at == std::string::npos ? at : text.find(": ", at);
    return fail(colon == std::string::npos ? text : text.substr(colon + 2));
  }

  std::variant<Node, Problem> take() && {
    if (problem_) return *std::move(problem_);
    return std::move(root_);
  }

 private:
  struct Open {
    Node node;
    std::string key;  // under which it goes into what holds it
    Position key_at;
  };

  bool fail(std::string message) {
    problem_ = Problem{where_, std::move(message)};
    return false;
  }
  bool put(decltype(Node::value) value) {
    return attach({where_, std::move(value)}, key_, key_at_);
  }
  bool attach(Node node, const std::string& key, Position key_at) {
    if (open_.empty()) {
      root_ = std::move(node);
    } else if (auto* table = std::get_if<Node::Table>(&open_.back().node.value)) {
      table->push_back({key, key_at, std::move(node)});
    } else {
      std::get<Node::Array>(open_.back().node.value).push_back(std::move(node));
    }
    return true;
  }
  bool open(decltype(Node::value) value) {
    if (open_.size() == kDeepest) return fail("nested too deeply");
    open_.push_back({{where_, std::move(value)}, key_, key_at_});
    return true;
  }
  bool close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    return attach(std::move(done.node), done.key, done.key_at);
  }

  const Position& where_;
  std::vector<Open> open_;
  std::string key_;
  Position key_at_;
  Node root_;
  std::optional<Problem> problem_;
};

std::variant<Node, Problem> parse_json(std::string_view text) {
  Position where{1, 1};
  JsonBuilder builder(where);
  const Counted begin{text.data(), &where};
  const Counted end{text.data() + text.size(), nullptr};
  nlohmann::json::sax_parse(begin, end, &builder);
  return std::move(builder).take();
}

}  // namespace

std::string kind_of(const Node& node) {
  return std::visit(
      Overloaded{[](Node::Null) { return "nothing"; }, [](bool) { return "a truth value"; },
                 [](std::int64_t) { return "a number"; }, [](double) { return "a number"; },
                 [](const std::string&) { return "a string"; },
                 [](const Node::Array&) { return "a list"; },
                 [](const Node::Table&) { return "a table"; }},
      node.value);
}

const Node* find(const Node::Table& table, std::string_view key) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  return found == table.end() ? nullptr : &found->value;
}

DocumentFormat guess_format(std::string_view file, std::string_view text) {
  const auto ends_with = [&](std::string_view suffix) {
    return file.size() >= suffix.size() && file.substr(file.size() - suffix.size()) == suffix;
  };
  if (ends_with(".json")) return DocumentFormat::Json;
  if (ends_with(".toml")) return DocumentFormat::Toml;
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{' ? DocumentFormat::Json
                                                               : DocumentFormat::Toml;
}

std::variant<Node, Problem> parse_document(std::string_view text, DocumentFormat format) {
  auto parsed = format == DocumentFormat::Toml ? parse_toml(text) : parse_json(text);
  const Node* root = std::get_if<Node>(&parsed);
  if (root != nullptr && root->table() == nullptr) {
    return Problem{{1, 1}, "a manifest is a table, this is " + kind_of(*root)};
  }
  return parsed;
}

}  // namespace appd::ctl
