// PEM files that fit together, that do not, and that change. They are made by openssl(1).
#include "supervisor/runtime/certificates.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "tests/support/temporary_directory.h"

namespace appd::runtime {
namespace {

namespace fs = std::filesystem;

class CertificatesTest : public testing::Test {
 protected:
  CertificatesTest() {
    make("a");
    entrance.address = *model::parse_address("127.0.0.1:7443");
    entrance.cert = folder.path("a.crt");
    entrance.key = folder.path("a.key");
  }
  void make(const std::string& name) {
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" +
        name + " -keyout " + folder.path(name + ".key") + " -out " + folder.path(name + ".crt") +
        " 2>/dev/null";
    ASSERT_EQ(std::system(command.c_str()), 0);
  }
  // As careful tools do it: the file is another one.
  void replace(const std::string& by, const std::string& file) {
    fs::copy_file(folder.path(by), folder.path("new"));
    fs::rename(folder.path("new"), folder.path(file));
  }
  std::string why_not() {
    const auto files = Certificates::load(entrance);
    return files ? "" : files.error().message;
  }

  const test::TemporaryDirectory folder;
  model::Entrance entrance;
};

TEST_F(CertificatesTest, AreTakenWhenTheyFit) {
  entrance.client_ca = entrance.cert;
  const auto files = Certificates::load(entrance);
  ASSERT_TRUE(files) << files.error().message;
  const auto pem = (*files)->present();
  EXPECT_EQ(pem->chain, folder.read("a.crt"));
  EXPECT_EQ(pem->key, folder.read("a.key"));
  EXPECT_EQ(pem->client_ca, pem->chain);
  const auto now = std::chrono::system_clock::now();
  EXPECT_GT(pem->expires, now + std::chrono::hours(24));
  EXPECT_LT(pem->expires, now + std::chrono::hours(72));
}

TEST_F(CertificatesTest, ThatDoNotFitAreRefusedByName) {
  make("b");
  entrance.key = folder.path("b.key");
  EXPECT_NE(why_not().find("is not the key of the certificate in " + entrance.cert),
            std::string::npos);
  entrance.key = folder.path("none.key");
  EXPECT_NE(why_not().find("listen 127.0.0.1:7443: key " + entrance.key), std::string::npos);
  entrance.key = entrance.cert;
  EXPECT_NE(why_not(), "");
  entrance.key = folder.path("a.key");
  entrance.cert = folder.path("a.key");
  EXPECT_NE(why_not().find("holds no certificate"), std::string::npos);
  entrance.cert = folder.path();
  EXPECT_NE(why_not().find("is no regular file"), std::string::npos);
  entrance.cert = folder.path("a.crt");
  entrance.client_ca = folder.path("a.key");
  EXPECT_NE(why_not().find("client_ca"), std::string::npos);
}

TEST_F(CertificatesTest, OfWhichALaterOneIsDamagedAreRefused) {
  fs::copy_file(folder.path("a.crt"), folder.path("chain"));
  folder.write("chain", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
  entrance.cert = folder.path("chain");
  EXPECT_NE(why_not().find("a damaged one"), std::string::npos);
}

TEST_F(CertificatesTest, KeysThatOthersMayReadAreRefused) {
  ASSERT_EQ(::chmod(entrance.key.c_str(), 0644), 0);
  EXPECT_NE(why_not().find("chmod o= " + entrance.key), std::string::npos);
  ASSERT_EQ(::chmod(entrance.key.c_str(), 0640), 0);
  EXPECT_EQ(why_not(), "");
}

TEST_F(CertificatesTest, AreReadAgainWhenTheyHaveChanged) {
  const auto files = *Certificates::load(entrance);
  EXPECT_FALSE(files->refresh().changed);
  make("b");
  replace("b.key", "a.key");
  // Half of the change: what was there goes on, and that is told once.
  const auto half = files->refresh();
  ASSERT_TRUE(half.refused);
  EXPECT_EQ(half.pem, files->present());
  EXPECT_NE(half.pem->key, folder.read("b.key"));
  EXPECT_FALSE(files->refresh().refused);
  replace("b.crt", "a.crt");
  const auto whole = files->refresh();
  EXPECT_TRUE(whole.changed);
  EXPECT_FALSE(whole.refused);
  EXPECT_EQ(whole.pem->key, folder.read("b.key"));
  EXPECT_FALSE(files->refresh().changed);
}

TEST_F(CertificatesTest, GoOnWhenTheirFilesAreGone) {
  const auto files = *Certificates::load(entrance);
  fs::remove(entrance.cert);
  EXPECT_TRUE(files->refresh().refused);
  EXPECT_NE(files->present()->chain, "");
}

}  // namespace
}  // namespace appd::runtime
