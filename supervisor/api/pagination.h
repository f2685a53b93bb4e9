// Pages of a list: sizes, opaque tokens.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/api/names.h"

namespace appd::api {

// The list that a token belongs to: one of another list is refused.
enum class ListKind : char {
  Apps = 'a',
  Workers = 'w',
  Operations = 'o',
  Revisions = 'r',
  Deaths = 'd',
  Requests = 'q',
  Tokens = 't'
};

// How many items this page may have. 0 means 100; more than 1000 means 1000.
Answer<std::size_t> parse_page_size(std::int32_t page_size);

// A token carries the key of the last item of its page.
std::string make_page_token(ListKind kind, std::string_view key);
Answer<std::string> parse_page_token(ListKind kind, std::string_view token);

template <typename T>
struct Page {
  std::vector<const T*> items;
  std::string next_page_token;
};

// The page after `token` of a list that is sorted by key. Stable while items come and go.
template <typename T, typename KeyOf>
Answer<Page<T>> sorted_page(ListKind kind, const std::vector<T>& list, KeyOf key_of,
                            std::int32_t page_size, std::string_view token) {
  const auto size = parse_page_size(page_size);
  if (!size) return size.rejection();
  const auto after = parse_page_token(kind, token);
  if (!after) return after.rejection();
  auto item = token.empty() ? list.begin()
                            : std::upper_bound(list.begin(), list.end(), after.value(),
                                               [&](const std::string& key, const T& candidate) {
                                                 return key < key_of(candidate);
                                               });
  Page<T> page;
  while (item != list.end() && page.items.size() < size.value()) page.items.push_back(&*item++);
  if (item != list.end()) page.next_page_token = make_page_token(kind, key_of(*page.items.back()));
  return page;
}

}  // namespace appd::api
