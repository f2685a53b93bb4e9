// Names, request ids, page tokens.
#include "supervisor/api/names.h"

#include <gtest/gtest.h>

#include "supervisor/api/pagination.h"

namespace appd::api {
namespace {

TEST(Names, AreMadeAndTakenApart) {
  EXPECT_EQ(parse_app_name(app_name("web"), "name").value(), "web");
  const auto worker = parse_worker_name(worker_name("web", 12), "name");
  ASSERT_TRUE(worker);
  EXPECT_EQ(worker.value().app, "web");
  EXPECT_EQ(worker.value().id, 12);
  const std::string uuid = "9f1c3f6e-0d0a-4c5e-8f57-0c9a5a3c1b11";
  EXPECT_EQ(parse_operation_name(operation_name(uuid), "name").value(), uuid);
}

TEST(Names, RefuseEveryOtherForm) {
  for (const char* name : {"", "web", "apps/", "apps/Web", "apps/web/", "app/web", "apps/web/x",
                           "/apps/web", "apps/-", "apps/we b"}) {
    const auto id = parse_app_name(name, "parent");
    ASSERT_FALSE(id) << name;
    EXPECT_EQ(id.rejection().error.reason, "REQUEST_INVALID");
    EXPECT_EQ(id.rejection().violations.at(0).field, "parent");
  }
  for (const char* name : {"", "apps/web", "apps/web/workers/", "apps/web/workers/x",
                           "apps/web/workers/-1", "apps/web/workers/01", "apps/web/workers/1/",
                           "apps/Web/workers/1", "apps/web/workers/99999999999"}) {
    EXPECT_FALSE(parse_worker_name(name, "name")) << name;
  }
  for (const char* name : {"", "operations/", "operations/x"}) {
    EXPECT_FALSE(parse_operation_name(name, "name")) << name;
  }
}

TEST(Names, RequestIdsAreUuidsInLowerCaseOrNothing) {
  EXPECT_EQ(parse_request_id("").value(), "");
  EXPECT_EQ(parse_request_id("9F1C3F6E-0D0A-4C5E-8F57-0C9A5A3C1B11").value(),
            "9f1c3f6e-0d0a-4c5e-8f57-0c9a5a3c1b11");
  EXPECT_FALSE(parse_request_id("retry-1"));
}

std::vector<std::string> all_pages(const std::vector<std::string>& list, std::int32_t size) {
  std::vector<std::string> out;
  std::string token;
  do {
    const auto page = sorted_page(
        ListKind::Apps, list, [](const std::string& item) { return item; }, size, token);
    APPD_CHECK(static_cast<bool>(page));
    for (const std::string* item : page.value().items) out.push_back(*item);
    out.push_back("|");
    token = page.value().next_page_token;
  } while (!token.empty());
  return out;
}

TEST(Pagination, PagesCoverTheListOnce) {
  using List = std::vector<std::string>;
  const List list = {"a", "b", "c", "d"};
  EXPECT_EQ(all_pages(list, 2), (List{"a", "b", "|", "c", "d", "|"}));
  EXPECT_EQ(all_pages(list, 3), (List{"a", "b", "c", "|", "d", "|"}));
  EXPECT_EQ(all_pages(list, 0), (List{"a", "b", "c", "d", "|"}));
  EXPECT_EQ(all_pages({}, 2), (List{"|"}));
}

TEST(Pagination, ItemsThatComeAndGoDoNotShiftTheNextPage) {
  const std::string token = make_page_token(ListKind::Apps, "b");
  const std::vector<std::string> list = {"a", "aa", "c", "d"};  // b has gone, aa has come
  const auto page = sorted_page(
      ListKind::Apps, list, [](const std::string& item) { return item; }, 1, token);
  ASSERT_TRUE(page);
  EXPECT_EQ(*page.value().items.at(0), "c");
}

TEST(Pagination, RefusesTokensThatItHasNotGiven) {
  for (const std::string& token :
       {std::string("x"), std::string("zz"), std::string("61"), std::string("616"),
        make_page_token(ListKind::Workers, "web"), std::string("AB12")}) {
    const auto after = parse_page_token(ListKind::Apps, token);
    ASSERT_FALSE(after) << token;
    EXPECT_EQ(after.rejection().violations.at(0).field, "page_token");
  }
  EXPECT_EQ(parse_page_token(ListKind::Apps, make_page_token(ListKind::Apps, "web")).value(),
            "web");
}

TEST(Pagination, SizesHaveADefaultAndALimit) {
  EXPECT_EQ(parse_page_size(0).value(), 100u);
  EXPECT_EQ(parse_page_size(7).value(), 7u);
  EXPECT_EQ(parse_page_size(1'000'000).value(), 1000u);
  EXPECT_FALSE(parse_page_size(-1));
}

}  // namespace
}  // namespace appd::api
