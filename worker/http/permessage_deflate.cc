// zlib's streams, made when they are needed.
#include "worker/http/permessage_deflate.h"

#include <zlib.h>

#include <algorithm>
#include <utility>

namespace appd::http {
namespace {

// What every message's compressed form would end with, and is not sent (RFC 7692 §7.2.1).
constexpr std::string_view kTail("\x00\x00\xff\xff", 4);

// The bit in `data_type` by which inflate() says that it stands between two blocks.
constexpr int kBetweenBlocks = 128;

// zlib counts in 32 bits.
constexpr std::size_t kLargestPiece = std::size_t{1} << 30;

Bytef* bytes_of(std::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

// Room in `out` for at least `wanted` bytes, as zlib's output.
uInt give_room(z_stream& stream, std::size_t wanted, std::size_t most, ByteBuffer& out) {
  out.reserve(std::min(wanted, most));
  std::span<char> room = out.room();
  auto size = static_cast<uInt>(std::min({room.size(), most, kLargestPiece}));
  stream.next_out = reinterpret_cast<Bytef*>(room.data());
  stream.avail_out = size;
  return size;
}

}  // namespace

// --- Deflater ------------------------------------------------------------------------------------

Deflater::Deflater(const DeflateParameters& parameters)
    : window_bits_(parameters.server_window_bits),
      context_takeover_(parameters.server_context_takeover) {}
Deflater::~Deflater() = default;

void Deflater::End::operator()(z_stream_s* stream) const {
  ::deflateEnd(stream);
  delete stream;
}

bool Deflater::start() {
  constexpr int kLevel = 1;     // a third of level 6's time for a fifth more bytes
  constexpr int kMemLevel = 5;  // 2,048 symbols to a block
  auto stream = std::make_unique<z_stream>();
  if (::deflateInit2(stream.get(), kLevel, Z_DEFLATED, -window_bits_, kMemLevel,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
    return false;
  }
  stream_.reset(stream.release());
  return true;
}

bool Deflater::compress(std::string_view message, ByteBuffer& out) {
  if (stream_ == nullptr && !start()) return false;
  std::size_t begin = out.size();
  std::size_t left = message.size();
  stream_->next_in = bytes_of(message);
  do {
    stream_->avail_in = static_cast<uInt>(std::min(left, kLargestPiece));
    left -= stream_->avail_in;
    int flush = left == 0 ? Z_SYNC_FLUSH : Z_NO_FLUSH;
    do {
      constexpr std::size_t kLeast = 64;  // more than a flush marker, or it would be repeated
      uInt room = give_room(*stream_, kLeast + stream_->avail_in / 2, kLargestPiece, out);
      ::deflate(stream_.get(), flush);
      out.take(room - stream_->avail_out);
    } while (stream_->avail_out == 0);
  } while (left > 0);
  out.truncate(out.size() - kTail.size());
  bool smaller = out.size() - begin < message.size();
  if (!context_takeover_) {
    stream_.reset();
  } else if (!smaller) {  // what the client will not see must not be referred to
    ::deflateReset(stream_.get());
  }
  return smaller;
}

// --- Inflater ------------------------------------------------------------------------------------

Inflater::Inflater(const DeflateParameters& parameters)
    : window_bits_(parameters.client_window_bits),
      context_takeover_(parameters.client_context_takeover) {}
Inflater::~Inflater() = default;

void Inflater::End::operator()(z_stream_s* stream) const {
  ::inflateEnd(stream);
  delete stream;
}

bool Inflater::start() {
  // zlib before 1.2.9, asked to compress with 8 bits, used 9.
  constexpr std::uint8_t kLeastBits = 9;
  auto stream = std::make_unique<z_stream>();
  if (::inflateInit2(stream.get(), -std::max(window_bits_, kLeastBits)) != Z_OK) return false;
  stream_.reset(stream.release());
  if (history_ == nullptr) return true;
  auto history = std::exchange(history_, nullptr);
  return ::inflateSetDictionary(stream_.get(), history.get(), history_size_) == Z_OK;
}

Inflater::Verdict Inflater::add(std::string_view compressed, std::uint64_t limit, ByteBuffer& out) {
  if (stream_ == nullptr && !start()) return Verdict::NoMemory;
  constexpr std::size_t kLeast = 256;
  constexpr std::size_t kUsualRatio = 4;
  if (out.size() > limit) return Verdict::TooLarge;  // it has been lowered
  std::size_t left = compressed.size();
  stream_->next_in = bytes_of(compressed);
  stream_->avail_in = 0;
  stream_->avail_out = 1;
  while (left > 0 || stream_->avail_in > 0 || stream_->avail_out == 0) {
    if (stream_->avail_in == 0) {
      stream_->avail_in = static_cast<uInt>(std::min(left, kLargestPiece));
      left -= stream_->avail_in;
    }
    uInt room =
        give_room(*stream_, kLeast + stream_->avail_in * kUsualRatio, limit - out.size() + 1, out);
    int result = ::inflate(stream_.get(), Z_SYNC_FLUSH);
    out.take(room - stream_->avail_out);
    if (out.size() > limit) return Verdict::TooLarge;
    if (result == Z_STREAM_END) {
      // A last block is not the end of a message, nor is it that of the window (RFC 7692 §7.2.3.4).
      result = ::inflateResetKeep(stream_.get());
      stream_->data_type = kBetweenBlocks;
    }
    if (result == Z_MEM_ERROR) return Verdict::NoMemory;
    if (result != Z_OK && result != Z_BUF_ERROR) return Verdict::Broken;
  }
  return Verdict::Good;
}

Inflater::Verdict Inflater::end(std::uint64_t limit, ByteBuffer& out) {
  Verdict verdict = add(kTail, limit, out);
  if (verdict != Verdict::Good) return verdict;
  if ((stream_->data_type & kBetweenBlocks) == 0) return Verdict::Broken;
  if (!context_takeover_) stream_.reset();
  return Verdict::Good;
}

void Inflater::release() {
  if (stream_ == nullptr) return;
  uInt size = 0;
  ::inflateGetDictionary(stream_.get(), nullptr, &size);
  if (size > 0) {
    history_ = std::make_unique_for_overwrite<unsigned char[]>(size);
    ::inflateGetDictionary(stream_.get(), history_.get(), &size);
    history_size_ = static_cast<std::uint16_t>(size);
  }
  stream_.reset();
}

}  // namespace appd::http
