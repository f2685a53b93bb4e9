// Callers in words.
#include "supervisor/model/revision.h"

namespace appd::model {

std::string describe(const Caller& caller) {
  std::string text = caller.identity;
  if (text.empty() && !caller.uid) text = "an unknown user";
  if (caller.uid) text += (text.empty() ? "uid " : " uid ") + std::to_string(*caller.uid);
  if (caller.pid != 0) text += " pid " + std::to_string(caller.pid);
  if (!caller.user.empty()) text += " user " + caller.user;
  if (!caller.address.empty()) text += " from " + caller.address;
  if (!caller.client.empty()) text += " client " + caller.client;
  return text;
}

std::string client_text(std::string_view sent) {
  constexpr std::size_t kLongest = 200;
  std::string text(sent.substr(0, kLongest));
  for (char& c : text) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return text;
}

}  // namespace appd::model
