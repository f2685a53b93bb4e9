// Revisions to proto, and their pages.
#include "supervisor/api/revision_convert.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "common/result.h"
#include "supervisor/api/convert.h"
#include "supervisor/api/pagination.h"
#include "supervisor/api/spec_convert.h"

namespace appd::api {
namespace {

constexpr std::size_t kMostPageBytes = std::size_t{1} << 20;

void fill(const model::Caller& caller, v1::Caller& out) {
  if (caller.uid) out.set_uid(*caller.uid);
  out.set_pid(caller.pid);
  out.set_user(caller.user);
  out.set_client(caller.client);
  out.set_identity(caller.identity);
  out.set_address(caller.address);
}

// The number in a token; beyond every revision for the first page.
Answer<std::int64_t> parse_token(std::string_view token) {
  if (token.empty()) return std::numeric_limits<std::int64_t>::max();
  const auto key = parse_page_token(ListKind::Revisions, token);
  if (!key) return key.rejection();
  const std::string& text = key.value();
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return request_invalid("page_token", "is none that this list has given: begin without one");
  }
  return number;
}

}  // namespace

EnvAges::EnvAges(const std::vector<model::Revision>& newest_first) {
  for (auto revision = newest_first.rbegin(); revision != newest_first.rend(); ++revision) {
    for (const auto& variable : revision->spec.env) oldest_.emplace(variable, revision->number);
  }
}

std::int64_t EnvAges::since(std::string_view name, std::string_view value) const {
  return oldest_.at({name, value});
}

void to_proto(const model::Revision& revision, const EnvAges& ages, v1::Revision& out) {
  out.set_name(revision_name(revision.app, revision.number));
  out.set_number(revision.number);
  out.set_generation(revision.generation);
  out.set_rollout(revision.rollout);
  to_proto(revision.spec, *out.mutable_spec());
  for (const auto& [name, value] : revision.spec.env) {
    (*out.mutable_env_since())[name] = ages.since(name, value);
  }
  to_proto(revision.time, *out.mutable_create_time());
  const bool anybody = revision.caller != model::Caller();
  if (anybody) fill(revision.caller, *out.mutable_caller());
  out.set_method(revision.method);
  out.set_reason(revision.reason);
  if (!revision.operation.empty()) out.set_operation(operation_name(revision.operation));
  out.set_outcome(to_proto(revision.outcome));
  out.set_outcome_message(revision.error_message);
  if (revision.cause) out.set_cause(to_proto(*revision.cause));
  if (revision.end_time) to_proto(*revision.end_time, *out.mutable_end_time());
  out.set_restores(revision.restores);
  out.set_good(revision.good());
  if (revision.cut.any()) to_proto(revision.app, revision.cut, *out.mutable_cut());
}

Answer<v1::ListRevisionsResponse> revisions_page(const std::vector<model::Revision>& newest_first,
                                                 std::int32_t page_size, std::string_view token) {
  const auto size = parse_page_size(page_size);
  if (!size) return size.rejection();
  const auto before = parse_token(token);
  if (!before) return before.rejection();
  auto item = std::find_if(newest_first.begin(), newest_first.end(),
                           [&](const auto& revision) { return revision.number < before.value(); });
  const EnvAges ages(newest_first);
  v1::ListRevisionsResponse page;
  std::size_t bytes = 0;
  for (; item != newest_first.end() && bytes < kMostPageBytes &&
         static_cast<std::size_t>(page.revisions_size()) < size.value();
       ++item) {
    v1::Revision& out = *page.add_revisions();
    to_proto(*item, ages, out);
    bytes += out.ByteSizeLong();
  }
  if (item != newest_first.end()) {
    const std::int64_t last = page.revisions(page.revisions_size() - 1).number();
    page.set_next_page_token(make_page_token(ListKind::Revisions, std::to_string(last)));
  }
  return page;
}

}  // namespace appd::api
