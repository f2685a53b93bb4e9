// Items, and paragraphs between them.
#include "ctl/help.h"

#include <sstream>

#include "ctl/text.h"

namespace appd::ctl {
namespace {

constexpr std::size_t kColumn = 34;
// On a narrower terminal the meaning stands below the name.
constexpr int kTwoColumns = 76;
constexpr std::size_t kBelow = 6;
constexpr std::size_t kNumber = 5;  // "  5  "

// "-f, --file", or of an argument "NAME".
std::string names_of(const CLI::Option& option, bool is_positional) {
  if (is_positional) return option.get_name(true);
  std::string names;
  for (const std::string& each : option.get_snames()) names += ", -" + each;
  for (const std::string& each : option.get_lnames()) names += ", --" + each;
  return names.substr(2);
}

}  // namespace

HelpFormatter::HelpFormatter(int width) : width_(width) {
  label("Positionals", "Arguments");
  label("SUBCOMMAND", "VERB");
}

std::string HelpFormatter::item(const std::string& name, const std::string& text) const {
  std::string line = "  " + name;
  const bool below = width_ > 0 && width_ < kTwoColumns;
  const std::size_t column = below ? kBelow : kColumn;
  if (below || display_width(line) + 2 > column)
    line += "\n" + std::string(column, ' ');
  else
    line.append(column - display_width(line), ' ');
  return line + wrapped(text, column, width_) + "\n";
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  std::string name = names_of(*option, is_positional);
  if (option->get_type_size() != 0) {
    if (!option->get_type_name().empty()) name += " " + option->get_type_name();
    if (option->get_expected_max() == CLI::detail::expected_max_vector_size) name += " ...";
    if (option->get_required() && !is_positional) name += " (required)";
  }
  return item(name, option->get_description());
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  return item(command->get_name(), command->get_description());
}

std::string HelpFormatter::make_description(const CLI::App* command) const {
  return wrapped(command->get_description(), 0, width_) + "\n\n";
}

// "  5  conflict: …" is an item of a list; what is indented otherwise is for copying and stays as
// it is.
std::string HelpFormatter::make_footer(const CLI::App* command) const {
  std::istringstream lines(command->get_footer());
  std::string out;
  for (std::string line; std::getline(lines, line);) {
    const bool item = line.size() > kNumber && line[2] >= '0' && line[2] <= '9';
    const std::size_t indent = item ? kNumber : 0;
    if (item || !line.starts_with(' ')) {
      line = line.substr(0, indent) + wrapped(line.substr(indent), indent, width_);
    }
    out += line + "\n";
  }
  return out;
}

}  // namespace appd::ctl
