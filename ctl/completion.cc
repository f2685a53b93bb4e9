// A walk down the tree along the words that are there.
#include "ctl/completion.h"

#include <algorithm>
#include <array>

#include "ctl/spec_fields.h"
#include "ctl/tree.h"

namespace appd::ctl {
namespace {

constexpr const char* kClasses = "auto|sync|gthread|gevent|eventlet|tornado|asgi";

std::vector<const CLI::Option*> options_of(const CLI::App& app) {
  return app.get_options([](const CLI::Option*) { return true; });
}

// "--workers", "-o" or "--workers=4".
const CLI::Option* find_option(const CLI::App& command, const CLI::App& tree,
                               const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  for (const CLI::App* app : {&command, &tree}) {
    for (const CLI::Option* option : options_of(*app)) {
      for (const std::string& each : option->get_lnames()) {
        if ("--" + each == name) return option;
      }
      for (const std::string& each : option->get_snames()) {
        if ("-" + each == name) return option;
      }
    }
  }
  return nullptr;
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_min() > 0; }

// Where the line stands.
struct Place {
  const CLI::App* command = nullptr;
  const CLI::Option* awaiting = nullptr;  // its value comes next
  std::string app;                        // the first argument, if that is an app's name
  std::size_t arguments = 0;              // so many are there
  bool only_arguments = false;            // behind "--"
};

std::vector<const CLI::Option*> arguments_of(const CLI::App& command) {
  std::vector<const CLI::Option*> out;
  for (const CLI::Option* option : options_of(command)) {
    if (option->get_positional()) out.push_back(option);
  }
  return out;
}

Place walk(const CLI::App& tree, std::span<const std::string> words) {
  Place place;
  place.command = &tree;
  for (const std::string& word : words) {
    if (place.awaiting != nullptr) {
      place.awaiting = nullptr;
    } else if (word == "--") {
      place.only_arguments = true;
    } else if (word.size() > 1 && word.front() == '-' && !place.only_arguments) {
      const CLI::Option* option = find_option(*place.command, tree, word);
      const bool with_value = word.find('=') != std::string::npos;
      if (option != nullptr && takes_value(*option) && !with_value) place.awaiting = option;
    } else if (const CLI::App* verb =
                   place.arguments == 0 ? find_verb(*place.command, word) : nullptr) {
      place.command = verb;
    } else {
      const auto arguments = arguments_of(*place.command);
      if (place.arguments < arguments.size() &&
          arguments[place.arguments]->get_name(true) == "NAME") {
        place.app = word.starts_with("apps/") ? word.substr(5) : word;
      }
      ++place.arguments;
    }
  }
  return place;
}

void add_choices(std::string_view choices, std::vector<Candidate>& out) {
  while (!choices.empty()) {
    const std::size_t end = std::min(choices.find('|'), choices.size());
    out.push_back({std::string(choices.substr(0, end)), ""});
    choices.remove_prefix(std::min(end + 1, choices.size()));
  }
}

struct NamedKind {
  std::string_view type;
  NameKind kind;
};
constexpr auto kNamedKinds = std::to_array<NamedKind>({{"NAME", NameKind::App},
                                                       {"WORKER", NameKind::Worker},
                                                       {"OPERATION", NameKind::Operation},
                                                       {"REVISION", NameKind::Revision},
                                                       {"CONTEXT", NameKind::Context}});

// Of an option its value; of an argument itself. `type` is how the help calls it.
Completion values(std::string_view option, std::string_view type, const std::string& app,
                  const NameSource& names) {
  Completion out;
  const auto kind = std::find_if(kNamedKinds.begin(), kNamedKinds.end(),
                                 [type](const NamedKind& each) { return each.type == type; });
  if (option == "--unset-env") {
    out.candidates = names(NameKind::Variable, app);
  } else if (option == "--cancel") {
    out.candidates = names(NameKind::Request, app);
  } else if (option == "--reset") {
    for (const std::string_view field : spec_field_names())
      out.candidates.push_back({std::string(field), ""});
  } else if (kind != kNamedKinds.end()) {
    out.candidates = names(kind->kind, app);
  } else if (type == "CLASS") {
    add_choices(kClasses, out.candidates);
  } else if (type == "DIR") {
    out.files = Completion::Files::Directories;
  } else if (type == "FILE" || option == "--python") {
    out.files = Completion::Files::Files;
  } else if (type.find('|') != std::string_view::npos) {
    add_choices(type, out.candidates);
  }
  return out;
}

void add_flags(const CLI::App& command, std::vector<Candidate>& out) {
  for (const CLI::Option* option : options_of(command)) {
    for (const std::string& name : option->get_lnames()) {
      out.push_back({"--" + name, option->get_description()});
    }
  }
}

void keep_matching(const std::string& typed, std::vector<Candidate>& candidates) {
  std::erase_if(candidates, [&](const Candidate& each) { return !each.word.starts_with(typed); });
}

}  // namespace

Completion complete(const CLI::App& tree, std::span<const std::string> words,
                    const NameSource& names) {
  if (words.empty()) return {};
  const std::string& typed = words.back();
  const Place place = walk(tree, words.first(words.size() - 1));
  Completion out;
  const std::size_t equals = typed.find('=');
  if (place.awaiting != nullptr) {
    out = values(place.awaiting->get_name(), place.awaiting->get_type_name(), place.app, names);
  } else if (typed.starts_with("-") && !place.only_arguments && equals != std::string::npos) {
    const CLI::Option* option = find_option(*place.command, tree, typed);
    if (option == nullptr) return {};
    out = values(option->get_name(), option->get_type_name(), place.app, names);
    for (Candidate& each : out.candidates) each.word = typed.substr(0, equals + 1) + each.word;
  } else if (typed.starts_with("-") && !place.only_arguments) {
    add_flags(*place.command, out.candidates);
    if (place.command != &tree) {
      std::erase_if(out.candidates, [](const Candidate& each) { return each.word == "--help"; });
      add_flags(tree, out.candidates);
    }
  } else {
    const auto arguments = arguments_of(*place.command);
    for (const CLI::App* verb :
         place.command->get_subcommands([](const CLI::App*) { return true; })) {
      if (place.arguments == 0)
        out.candidates.push_back({verb->get_name(), verb->get_description()});
    }
    if (place.arguments < arguments.size()) {
      const std::string name = arguments[place.arguments]->get_name(true);
      // The name of an app that is yet to be made is nobody's.
      const bool is_new = place.command->get_name() == "create" ||
                          (name == "CONTEXT" && place.command->get_name() == "add");
      const std::string type = arguments[place.arguments]->get_type_name();
      if (!is_new) out = values("", type.empty() ? name : type, place.app, names);
    }
  }
  keep_matching(typed, out.candidates);
  return out;
}

std::string completion_lines(const Completion& completion) {
  std::string text;
  for (const Candidate& each : completion.candidates) {
    text += each.word + (each.about.empty() ? "" : "\t" + each.about) + "\n";
  }
  if (completion.files == Completion::Files::Files) text += ":files\n";
  if (completion.files == Completion::Files::Directories) text += ":directories\n";
  return text;
}

std::optional<std::string> completion_script(std::string_view shell) {
  if (shell == "bash") {
    return R"(# bash completion for appctl; put this into a file in
# /usr/share/bash-completion/completions or ~/.local/share/bash-completion/completions,
# or: source <(appctl completion bash)
_appctl() {
  # Not COMP_WORDS: bash takes words apart at = and :, and puts in only what is behind them.
  local line=${COMP_LINE:0:COMP_POINT} words reply kind='' typed keep
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  typed=${words[-1]}
  keep=${typed%"${typed##*[=:]}"}
  COMPREPLY=()
  while IFS= read -r reply; do
    case $reply in
      :files | :directories) kind=$reply ;;
      *)
        reply=${reply%%$'\t'*}
        COMPREPLY+=("${reply#"$keep"}")
        ;;
    esac
  done < <("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
  case $kind in
    :files) mapfile -t COMPREPLY < <(compgen -f -- "${typed#"$keep"}") ;;
    :directories) mapfile -t COMPREPLY < <(compgen -d -- "${typed#"$keep"}") ;;
  esac
  [[ -n $kind ]] && compopt -o filenames 2>/dev/null
  return 0
}
complete -F _appctl appctl
)";
  }
  if (shell == "zsh") {
    return R"(#compdef appctl
# zsh completion for appctl; put this into a file _appctl in a directory of $fpath,
# or behind compinit: source <(appctl completion zsh)
_appctl() {
  local -a candidates
  local reply
  for reply in "${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $reply in
      '') ;;
      :files) _files; return ;;
      :directories) _files -/; return ;;
      *$'\t'*) candidates+=("${${reply%%$'\t'*}//:/\\:}:${reply#*$'\t'}") ;;
      *) candidates+=("${reply//:/\\:}") ;;
    esac
  done
  _describe -V appctl candidates
}
if [[ $funcstack[1] == _appctl ]]; then
  _appctl "$@"
else
  compdef _appctl appctl
fi
)";
  }
  if (shell == "fish") {
    return R"(# fish completion for appctl; put this into ~/.config/fish/completions/appctl.fish,
# or: appctl completion fish | source
function __appctl_complete
    set -l words (commandline -opc) (commandline -ct)
    for reply in ($words[1] __complete $words[2..-1] 2>/dev/null)
        switch $reply
            case :files
                __fish_complete_path (commandline -ct)
            case :directories
                __fish_complete_directories (commandline -ct) ''
            case '*'
                echo $reply
        end
    end
end
complete -c appctl -f -a '(__appctl_complete)'
)";
  }
  return std::nullopt;
}

}  // namespace appd::ctl
