// ByteBuffer: bytes being put together for the wire. Adding a literal compiles to a few moves,
// which std::string does not give us.
#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace appd::http {

// Owns its memory and keeps it when cleared. Not thread-safe.
class ByteBuffer {
 public:
  static constexpr std::size_t kMaxDigits = 20;

  void clear() { size_ = 0; }
  std::size_t size() const { return size_; }
  std::string_view view() const { return {data_.get(), size_}; }
  char* data() { return data_.get(); }

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

  // For those who write in place: the room that is reserved, and how many bytes of it were used.
  std::span<char> room() { return {data_.get() + size_, capacity_ - size_}; }
  void take(std::size_t used) { size_ += used; }

  // Takes bytes away, at the end or in the middle.
  void truncate(std::size_t size) { size_ = size; }
  void erase(std::size_t at, std::size_t count) {
    std::memmove(data_.get() + at, data_.get() + at + count, size_ - at - count);
    size_ -= count;
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
