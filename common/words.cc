// The quoting of a POSIX shell (XCU 2.2), in one pass.
#include "common/words.h"

#include <optional>
#include <utility>

namespace appd {
namespace {

Error bad(std::string what) {
  return {ErrorCode::InvalidArgument, "WORDS_INVALID", std::move(what), 0};
}

class Splitter {
 public:
  explicit Splitter(std::string_view text) : text_(text) {}

  Result<std::vector<std::string>> split() {
    while (!text_.empty()) {
      char c = take();
      if (c == ' ' || c == '\t' || c == '\n') {
        end_word();
      } else if (c == '\'' || c == '"') {
        TRY(quoted(c));
      } else if (c == '\\') {
        if (text_.empty()) return bad("ends with a \\ that quotes nothing");
        word() += take();
      } else if (std::string_view("|&;<>()").find(c) != std::string_view::npos) {
        return bad(std::string("has an unquoted ") + c +
                   ", but no shell runs it: quote it, or write sh -c '…'");
      } else {
        word() += c;
      }
    }
    end_word();
    return std::move(words_);
  }

 private:
  char take() {
    char c = text_.front();
    text_.remove_prefix(1);
    return c;
  }

  // An empty pair of quotes makes a word too.
  std::string& word() { return word_ ? *word_ : word_.emplace(); }

  void end_word() {
    if (word_) words_.push_back(*std::exchange(word_, std::nullopt));
  }

  Result<void> quoted(char quote) {
    word();
    while (!text_.empty()) {
      char c = take();
      if (c == quote) return {};
      bool escapes = quote == '"' && c == '\\' && !text_.empty() &&
                     std::string_view("$`\"\\").find(text_.front()) != std::string_view::npos;
      *word_ += escapes ? take() : c;
    }
    return bad(std::string("has a ") + quote + " that is not closed");
  }

  std::string_view text_;
  std::optional<std::string> word_;
  std::vector<std::string> words_;
};

}  // namespace

Result<std::vector<std::string>> split_words(std::string_view text) {
  return Splitter(text).split();
}

}  // namespace appd
