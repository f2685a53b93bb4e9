// The vectors of RFC 3174 §7.3, and every length around a block's end against known sums.
#include "worker/http/sha1.h"

#include <gtest/gtest.h>

#include <string>

namespace appd::http {
namespace {

std::string hex(std::string_view message) {
  std::string text;
  for (unsigned byte : sha1(message)) {
    for (unsigned digit : {byte >> 4, byte & 15}) text += "0123456789abcdef"[digit];
  }
  return text;
}

TEST(Sha1, HasTheVectorsOfItsRfc) {
  EXPECT_EQ(hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(hex(std::string(1'000'000, 'a')), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

// Each sum becomes part of the next message: one wrong sum spoils the last.
TEST(Sha1, PadsMessagesOfEveryLength) {
  std::string chain;
  for (std::size_t size = 0; size < 200; ++size) {
    chain = hex(chain.append(size, static_cast<char>('a' + size % 26)));
  }
  EXPECT_EQ(chain, "7c1a2907799f941efae2ea3a4b6b185963d95a49");
}

}  // namespace
}  // namespace appd::http
