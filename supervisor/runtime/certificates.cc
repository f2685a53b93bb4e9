// Reading PEM files, and checking that they fit together before anybody is served by them.
#include "supervisor/runtime/certificates.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "common/unique_fd.h"

namespace appd::runtime {
namespace {

constexpr std::size_t kLargestFile = std::size_t{1} << 20;

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using X509Ptr = std::unique_ptr<X509, decltype(&X509_free)>;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Error refused(const char* option, const std::string& path, const std::string& why) {
  return Error{ErrorCode::FailedPrecondition, "LISTEN_FAILED",
               std::string(option) + " " + path + ": " + why};
}

Result<std::string> read_file(const char* option, const std::string& path) {
  const auto failed = [&] { return refused(option, path, sys_error("", "read", errno).message); };
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return failed();
  if (!S_ISREG(status.st_mode)) return refused(option, path, "is no regular file");
  if (std::string_view(option) == "key" && (status.st_mode & S_IRWXO) != 0) {
    return refused(
        option, path,
        "every user of this host may read or write it: take that away by chmod o= " + path);
  }
  std::string text(kLargestFile + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed();
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > kLargestFile) return refused(option, path, "is larger than 1 MiB");
  text.resize(size);
  return text;
}

Bio over(const std::string& text) {
  return {::BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free};
}

// A key with a password has none to ask for it.
int no_password(char*, int, int, void*) { return -1; }

// The first certificate; null: there is none, or one of those behind it is damaged.
X509Ptr first_certificate(const std::string& text) {
  const Bio bio = over(text);
  X509Ptr first(::PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr), &X509_free);
  bool sound = first != nullptr;
  while (sound) {
    const X509Ptr next(::PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr), &X509_free);
    if (next != nullptr) continue;
    sound = ERR_GET_REASON(::ERR_peek_last_error()) == PEM_R_NO_START_LINE;  // the end
    break;
  }
  ::ERR_clear_error();
  if (!sound) first.reset();
  return first;
}

std::chrono::system_clock::time_point end_of(const X509& certificate) {
  std::tm time{};
  if (::ASN1_TIME_to_tm(::X509_get0_notAfter(&certificate), &time) != 1) return {};
  return std::chrono::system_clock::from_time_t(::timegm(&time));
}

}  // namespace

Result<Pem> Certificates::read() const {
  const std::string no_pem = "holds no certificate in PEM form, or a damaged one";
  Pem pem;
  pem.chain = TRY(read_file("cert", entrance_.cert));
  pem.key = TRY(read_file("key", entrance_.key));
  const X509Ptr certificate = first_certificate(pem.chain);
  if (!certificate) return refused("cert", entrance_.cert, no_pem);
  const Bio bio = over(pem.key);
  const KeyPtr key(::PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr),
                   &EVP_PKEY_free);
  ::ERR_clear_error();
  if (!key) {
    return refused("key", entrance_.key,
                   "holds no private key in PEM form, or one with a password, which appd cannot "
                   "ask for");
  }
  const bool fits = ::X509_check_private_key(certificate.get(), key.get()) == 1;
  ::ERR_clear_error();
  if (!fits) {
    return refused("key", entrance_.key, "is not the key of the certificate in " + entrance_.cert);
  }
  pem.expires = end_of(*certificate);
  if (entrance_.client_ca.empty()) return pem;
  pem.client_ca = TRY(read_file("client_ca", entrance_.client_ca));
  if (!first_certificate(pem.client_ca)) return refused("client_ca", entrance_.client_ca, no_pem);
  return pem;
}

Certificates::Looks Certificates::look() const {
  Looks looks;
  std::size_t at = 0;
  for (const std::string* path : {&entrance_.cert, &entrance_.key, &entrance_.client_ca}) {
    struct stat status {};
    if (!path->empty() && ::stat(path->c_str(), &status) == 0) {
      looks[at] = {status.st_dev, status.st_ino,
                   status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec, status.st_size};
    }
    ++at;
  }
  return looks;
}

Result<std::unique_ptr<Certificates>> Certificates::load(const model::Entrance& entrance) {
  std::unique_ptr<Certificates> files(new Certificates(entrance));
  files->seen_ = files->look();
  auto pem = files->read();
  if (!pem) {
    return std::move(pem).error().context("listen " + to_string(entrance.address));
  }
  files->pem_ = std::make_shared<const Pem>(*std::move(pem));
  return files;
}

Certificates::News Certificates::refresh() {
  const std::lock_guard lock(mutex_);
  // Before they are read: what is written meanwhile is seen the next time.
  const Looks looks = look();
  if (looks == seen_) return {pem_, false, {}};
  seen_ = looks;
  auto pem = read();
  if (!pem) return {pem_, false, std::move(pem).error()};
  pem_ = std::make_shared<const Pem>(*std::move(pem));
  return {pem_, true, {}};
}

std::shared_ptr<const Pem> Certificates::present() const {
  const std::lock_guard lock(mutex_);
  return pem_;
}

}  // namespace appd::runtime
