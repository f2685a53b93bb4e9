// The history of an app as the API tells it: of environment variables it says when a value became
// another, and never which.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "appd/v1/apps.pb.h"
#include "supervisor/api/names.h"

namespace appd::api {

namespace v1 = ::appd::v1;

// Since which revision each value of each variable has been known: two revisions with the same
// number for a variable had the same value. Borrows the history.
class EnvAges {
 public:
  explicit EnvAges(const std::vector<model::Revision>& newest_first);
  // Of a variable of one of these revisions.
  std::int64_t since(std::string_view name, std::string_view value) const;

 private:
  std::map<std::pair<std::string_view, std::string_view>, std::int64_t> oldest_;
};

void to_proto(const model::Revision& revision, const EnvAges& ages, v1::Revision& out);

// The page after `token`. A page ends early when its messages grow beyond 1 MiB, so that no
// client's limit is met whatever the specs hold.
Answer<v1::ListRevisionsResponse> revisions_page(const std::vector<model::Revision>& newest_first,
                                                 std::int32_t page_size, std::string_view token);

}  // namespace appd::api
