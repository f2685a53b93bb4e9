// By which files zygotes are found, and what is left when some of them are gone.
#include "supervisor/runtime/control_socket.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temporary_directory.h"

namespace appd::runtime {
namespace {

namespace fs = std::filesystem;

class ControlSocketTest : public testing::Test {
 protected:
  ControlSocketTest() { fs::create_directories(places_.copies); }

  Owner owner() const { return owner_of(::getpid(), "web", 7); }

  const test::TemporaryDirectory temporary_;
  const ControlPlaces places_{temporary_.path() + "/run/zygotes",
                              temporary_.path() + "/state/zygotes"};
};

TEST_F(ControlSocketTest, IsListenedToAndFoundByItsOwner) {
  auto created = create_control_socket(places_);
  ASSERT_TRUE(created) << created.error().message;
  write_owner(created->files, owner());
  EXPECT_TRUE(connect_control_socket(created->files.socket));
  const auto all = list_control_files(places_);
  ASSERT_EQ(all.size(), 1U) << "three files, one zygote";
  EXPECT_EQ(all.front().socket, created->files.socket);
  const auto found = read_owner(all.front());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->pid, ::getpid());
  EXPECT_EQ(found->app, "web");
  EXPECT_EQ(found->rollout, 7);
  EXPECT_TRUE(open_owner(*found));
}

TEST_F(ControlSocketTest, IsKnownByTheCopyWhenTheRuntimeDirectoryWasEmptied) {
  auto created = create_control_socket(places_);
  ASSERT_TRUE(created);
  write_owner(created->files, owner());
  fs::remove_all(places_.sockets);
  const auto all = list_control_files(places_);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(token_of(all.front().socket), token_of(created->files.socket));
  const auto found = read_owner(all.front());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->start_time, owner().start_time);
  EXPECT_FALSE(connect_control_socket(all.front().socket));
}

TEST_F(ControlSocketTest, IsMadeInAFolderThatIsMadeAnew) {
  ASSERT_TRUE(create_control_socket(places_));
  fs::remove_all(places_.sockets);
  EXPECT_TRUE(create_control_socket(places_));
}

TEST_F(ControlSocketTest, ACopyThatCameWithACopyOfTheStateIsNobodys) {
  auto created = create_control_socket(places_);
  ASSERT_TRUE(created);
  write_owner(created->files, owner());
  const ControlPlaces other{temporary_.path() + "/run2/zygotes",
                            temporary_.path() + "/state2/zygotes"};
  fs::create_directories(other.copies);
  fs::copy(places_.copies, other.copies);
  const auto all = list_control_files(other);
  ASSERT_EQ(all.size(), 1U);
  EXPECT_FALSE(read_owner(all.front())) << "its zygote is the other appd's";
  remove_owner(all.front());
  EXPECT_TRUE(list_control_files(other).empty());
  EXPECT_TRUE(read_owner(created->files)) << "which still has it";
}

TEST_F(ControlSocketTest, ARecordThatIsNoneIsTakenFromTheCopy) {
  auto created = create_control_socket(places_);
  ASSERT_TRUE(created);
  write_owner(created->files, owner());
  std::ofstream(created->files.record) << "1 2";
  EXPECT_TRUE(read_owner(created->files));
  std::ofstream(created->files.copy) << "garbage";
  EXPECT_FALSE(read_owner(created->files));
}

TEST_F(ControlSocketTest, IsForgottenWithAllItsFiles) {
  auto created = create_control_socket(places_);
  ASSERT_TRUE(created);
  write_owner(created->files, owner());
  remove_control_socket(created->files);
  EXPECT_EQ(list_control_files(places_).size(), 1U) << "its session may have members still";
  remove_owner(created->files);
  EXPECT_TRUE(list_control_files(places_).empty());
}

}  // namespace
}  // namespace appd::runtime
