// roff from the tree. What comes from texts is escaped; what is a macro is written here.
#include "ctl/manual.h"

#include <algorithm>

#include "ctl/tree.h"

namespace appd::ctl {
namespace {

// Hyphens are minus signs where people copy them from, and no line may begin with a control
// character of roff's.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  if (!out.empty() && (out.front() == '.' || out.front() == '\'')) out.insert(0, "\\&");
  return out;
}

std::string header(const std::string& name, const std::string& summary) {
  std::string title = name;
  std::transform(title.begin(), title.end(), title.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return ".\\\" Made by appctl man; do not edit.\n.TH \"" + escaped(title) +
         "\" 1 \"\" \"appd " APPD_VERSION "\" \"appd\"\n.SH NAME\n" + escaped(name) + " \\- " +
         escaped(summary) + "\n";
}

std::string heading(const std::string& text) { return ".SH " + text + "\n"; }

std::vector<const CLI::Option*> options_of(const CLI::App& app) {
  return app.get_options([](const CLI::Option*) { return true; });
}

// "\fB\-o\fR, \fB\-\-output\fR \fItext|json\fR"
std::string term(const CLI::Option& option) {
  std::string names;
  for (const std::string& each : option.get_snames()) {
    names += (names.empty() ? "" : ", ") + ("\\fB" + escaped("-" + each) + "\\fR");
  }
  for (const std::string& each : option.get_lnames()) {
    names += (names.empty() ? "" : ", ") + ("\\fB" + escaped("--" + each) + "\\fR");
  }
  std::string type = option.get_type_name();
  type = type.substr(0, type.find(" ("));  // the default address is another one on each host
  if (option.get_items_expected_max() > 0 && !type.empty())
    names += " \\fI" + escaped(type) + "\\fR";
  return names;
}

std::string item(const std::string& name, const std::string& text) {
  return ".TP\n" + name + "\n" + (text.empty() ? "\\&" : escaped(text)) + "\n";
}

std::string flags(const CLI::App& command) {
  std::string text;
  for (const std::string& group : command.get_groups()) {
    std::string own;
    for (const CLI::Option* option :
         command.get_options([&](const CLI::Option* each) { return each->get_group() == group; })) {
      if (option->get_positional() || option->get_group().empty()) continue;
      own += item(term(*option),
                  option->get_description() + (option->get_required() ? " (required)" : ""));
    }
    if (own.empty()) continue;
    if (group != "Options") text += ".SS \"" + escaped(group) + "\"\n";
    text += own;
  }
  return text;
}

std::string arguments(const CLI::App& command) {
  std::string text;
  for (const CLI::Option* option : options_of(command)) {
    if (!option->get_positional()) continue;
    text += item("\\fI" + escaped(option->get_name(true)) + "\\fR", option->get_description());
  }
  return text;
}

std::string synopsis(const std::string& name, const CLI::App& command) {
  std::string text = ".B " + escaped(name) + "\n";
  for (const CLI::Option* option : options_of(command)) {
    if (!option->get_positional()) continue;
    const std::string word = "\\fI" + escaped(option->get_name(true)) + "\\fR";
    text += option->get_required() ? word + "\n" : "[" + word + "]\n";
  }
  return text + "[\\fIflags\\fR]\n";
}

std::string example_block(const std::string& text) { return ".nf\n" + escaped(text) + "\n.fi\n"; }

}  // namespace

std::string manual(const CLI::App& tree) {
  std::string text = header("appctl", "control appd, which runs Python web applications");
  text += heading("SYNOPSIS") + ".B appctl\n\\fIverb\\fR [\\fIarguments\\fR] [\\fIflags\\fR]\n";
  text += heading("DESCRIPTION") + escaped(tree.get_description()) +
          "\nA verb that changes something waits until the change has taken effect or has failed;\n"
          "\\fB\\-\\-no\\-wait\\fR returns at once. Each verb has a page of its own,\n"
          "\\fBappctl\\-\\fIverb\\fR(1), and \\fB\\-\\-help\\fR.\n";
  text += heading("VERBS");
  std::string group;
  for (const Verb& verb : verbs()) {
    if (group != verb.group) text += ".SS \"" + escaped(verb.group) + "\"\n";
    group = verb.group;
    text += item("\\fBappctl " + escaped(verb.name) + "\\fR", verb.summary);
  }
  text += heading("OPTIONS") + flags(tree);
  text += heading("ENVIRONMENT");
  text += item("\\fBAPPD_ADDRESS\\fR", "where appd listens, unless --address or --context says so");
  text += item("\\fBAPPD_TOKEN\\fR", "the caller's token, unless --token-file says where it is");
  text += item("\\fBAPPD_CA, APPD_CERT, APPD_KEY, APPD_TOKEN_FILE\\fR",
               "as the options of these names, unless the option or the context says so");
  text += item("\\fBNO_COLOR\\fR", "if set, no colours");
  text += heading("FILES");
  text += item("\\fI" + escaped("~/.config/appd/appctl.toml") + "\\fR",
               "contexts, see appctl-context(1)");
  text += item("\\fI/run/appd/appd.sock\\fR", "where root's appd listens");
  text += heading("EXIT STATUS");
  for (const ExitMeaning& each : exit_meanings()) {
    text += item("\\fB" + std::to_string(each.code) + "\\fR", each.meaning);
  }
  text += heading("EXAMPLES");
  for (const char* example : examples()) {
    text += (example == examples().front() ? "" : ".PP\n") + example_block(example);
  }
  return text;
}

std::string manual_of_verb(const CLI::App& tree, const CLI::App& verb, const std::string& example) {
  const std::string& name = verb.get_name();
  std::string text = header("appctl-" + name, verb.get_description());
  text += heading("SYNOPSIS");
  const auto parts = verb.get_subcommands([](const CLI::App*) { return true; });
  if (parts.empty()) text += synopsis("appctl " + name, verb);
  for (const CLI::App* part : parts) {
    text += (part == parts.front() ? "" : ".br\n") +
            synopsis("appctl " + name + " " + part->get_name(), *part);
  }
  if (const std::string own = arguments(verb); !own.empty()) text += heading("ARGUMENTS") + own;
  for (const CLI::App* part : parts) {
    if (part == parts.front()) text += heading("COMMANDS");
    text += item("\\fB" + escaped(part->get_name()) + "\\fR", part->get_description());
  }
  if (const std::string own = flags(verb); !own.empty()) text += heading("OPTIONS") + own;
  text += heading("OPTIONS OF EVERY VERB") + flags(tree);
  text += heading("EXAMPLE") + example_block(example);
  text += heading("SEE ALSO") + ".BR appctl (1),\nwhich has the exit codes\n";
  return text;
}

}  // namespace appd::ctl
