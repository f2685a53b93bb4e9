// Who is in a list of addresses and networks.
#include "worker/net/address_set.h"

#include <gtest/gtest.h>

namespace appd::net {
namespace {

TEST(AddressSet, HasSingleAddresses) {
  AddressSet set("127.0.0.1, ::1");
  EXPECT_TRUE(set.contains("127.0.0.1"));
  EXPECT_TRUE(set.contains("::1"));
  EXPECT_TRUE(set.contains("0:0:0:0:0:0:0:1"));
  EXPECT_FALSE(set.contains("127.0.0.2"));
  EXPECT_FALSE(set.contains("::2"));
}

TEST(AddressSet, HasNetworks) {
  AddressSet set("10.0.0.0/8,192.168.1.130/25,2001:db8::/33,fe80::1:0/112");
  for (const char* in : {"10.0.0.0", "10.255.1.2", "192.168.1.128", "192.168.1.255", "2001:db8::1",
                         "2001:db8:7fff::", "fe80::1:ffff"}) {
    EXPECT_TRUE(set.contains(in)) << in;
  }
  for (const char* out : {"11.0.0.0", "9.255.255.255", "192.168.1.127", "192.168.2.128",
                          "2001:db8:8000::", "2001:db9::", "fe80::2:0", "::10.0.0.1"}) {
    EXPECT_FALSE(set.contains(out)) << out;
  }
}

TEST(AddressSet, AClientIsTheSameOnAListenerOfBothFamilies) {
  EXPECT_TRUE(AddressSet("10.0.0.0/8").contains("::ffff:10.1.2.3"));
  EXPECT_TRUE(AddressSet("::ffff:10.1.2.3").contains("10.1.2.3"));
}

TEST(AddressSet, OfEverybodyHasEverybody) {
  AddressSet set("*");
  for (const char* in : {"1.2.3.4", "::1", "", "no address"}) EXPECT_TRUE(set.contains(in)) << in;
  EXPECT_TRUE(AddressSet("0.0.0.0/0").contains("1.2.3.4"));
  EXPECT_FALSE(AddressSet("0.0.0.0/0").contains("::1"));
  EXPECT_TRUE(AddressSet("::/0").contains("1.2.3.4"));
}

TEST(AddressSet, OfNobodyHasNobody) {
  for (const char* out : {"127.0.0.1", "::1", ""}) EXPECT_FALSE(AddressSet("").contains(out));
}

TEST(AddressSet, HasUnixPeersUnlessItIsEmpty) { EXPECT_TRUE(AddressSet("10.0.0.1").contains("")); }

TEST(AddressSet, WhatIsNoAddressNamesNobody) {
  for (const char* list : {"localhost", "10.0.0.0/33", "10.0.0.0/4294967295", "10.0.0.0/-1",
                           "10.0.0.0/8x", "::/129", "10.0.0/8", "/8", ",", " ", "[::1]"}) {
    AddressSet set(list);
    EXPECT_FALSE(set.contains("10.0.0.1")) << list;
    EXPECT_FALSE(set.contains("::1")) << list;
  }
  EXPECT_FALSE(AddressSet("10.0.0.0/8").contains("10.0.0.1:80"));
}

}  // namespace
}  // namespace appd::net
