// ByteBuffer: bytes being put together for the wire. Adding a literal compiles to a few moves,
// which std::string does not give us.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace appd::http {

// Owns its memory and keeps it when cleared. Not thread-safe.
class ByteBuffer {
 public:
  static constexpr std::size_t kMaxDigits = 20;

  void clear() { size_ = 0; }
  std::size_t size() const { return size_; }
  std::string_view view() const { return {data_.get(), size_}; }

  void reserve(std::size_t more) {
    if (capacity_ - size_ < more) [[unlikely]]
      grow(more);
  }

  // These need room that was reserved before.
  void put(std::string_view bytes) {
    if (bytes.empty()) return;  // of no address perhaps, which memcpy does not take
    std::memcpy(data_.get() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  template <std::size_t N>
  void put(const char (&literal)[N]) {
    std::memcpy(data_.get() + size_, literal, N - 1);
    size_ += N - 1;
  }
  void put_number(std::uint64_t number) { put_number_in<10>(number); }
  void put_hex(std::uint64_t number) { put_number_in<16>(number); }

  void append(std::string_view bytes) {
    reserve(bytes.size());
    put(bytes);
  }

 private:
  template <int Base>
  void put_number_in(std::uint64_t number) {
    char* at = data_.get() + size_;
    size_ += static_cast<std::size_t>(std::to_chars(at, at + kMaxDigits, number, Base).ptr - at);
  }
  void grow(std::size_t more) {
    std::size_t capacity = 2 * (size_ + more) < 512 ? 512 : 2 * (size_ + more);
    auto grown = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_ > 0) std::memcpy(grown.get(), data_.get(), size_);
    data_ = std::move(grown);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace appd::http
