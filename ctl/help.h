// How --help looks: names on the left, what they mean on the right, folded to the terminal.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace appd::ctl {

class HelpFormatter final : public CLI::Formatter {
 public:
  // `width` 0: nothing is folded.
  explicit HelpFormatter(int width);

  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_subcommand(const CLI::App* command) const override;
  std::string make_description(const CLI::App* command) const override;
  std::string make_footer(const CLI::App* command) const override;

 private:
  std::string item(const std::string& name, const std::string& text) const;
  int width_;
};

}  // namespace appd::ctl
