// Drives the decoder as a connection does.
#include "tests/unit/worker/websocket_trace.h"

#include <functional>

#include "worker/http/websocket_codec.h"

namespace appd::http {
namespace {

std::string describe(const WebSocketDecoder::Step& step) {
  using Event = WebSocketDecoder::Event;
  std::string_view data = step.data;
  std::string text = data.size() <= 200 ? std::string(data)
                                        : std::to_string(data.size()) + " bytes #" +
                                              std::to_string(std::hash<std::string_view>()(data));
  std::string code = std::to_string(step.code) + " ";
  switch (step.event) {
    case Event::NeedMore:
      return {};
    case Event::Text:
      return "text " + text + "; ";
    case Event::Binary:
      return "binary " + text + "; ";
    case Event::Ping:
      return "ping " + text + "; ";
    case Event::Pong:
      return "pong " + text + "; ";
    case Event::Close:
      return "close " + code + text + "; ";
    case Event::Refused:
      return "refused " + code + text;
  }
  return {};
}

}  // namespace

WebSocketTrace trace_websocket(const std::vector<std::string_view>& pieces,
                               const WebSocketSetting& setting) {
  WebSocketTrace trace;
  WebSocketDecoder decoder(setting.deflate);
  for (std::string_view piece : pieces) {
    std::vector<char> input(piece.begin(), piece.end());
    std::span<char> left = input;
    for (bool more = true; more;) {
      auto step = decoder.next(left, setting.max_size);
      trace.events += describe(step);
      if (step.event == WebSocketDecoder::Event::Refused) trace.code = step.code;
      more = step.event != WebSocketDecoder::Event::NeedMore;
      left = left.subspan(step.used);
    }
    if (!left.empty()) trace.events += "not all used; ";
    decoder.release();
  }
  trace.waiting = !decoder.between_messages();
  return trace;
}

WebSocketTrace trace_in_every_way(std::string_view bytes, const WebSocketSetting& setting) {
  WebSocketTrace whole = trace_websocket(bytes, setting);
  auto differs = [&](const WebSocketTrace& other, const std::string& how) {
    if (other.events == whole.events && other.waiting == whole.waiting) return false;
    whole.events += " BUT " + how + ": " + other.events;
    return true;
  };
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    auto halves = trace_websocket({bytes.substr(0, cut), bytes.substr(cut)}, setting);
    if (differs(halves, "cut at " + std::to_string(cut))) return whole;
  }
  std::vector<std::string_view> single;
  for (std::size_t at = 0; at < bytes.size(); ++at) single.push_back(bytes.substr(at, 1));
  differs(trace_websocket(single, setting), "byte by byte");
  return whole;
}

std::string client_frame_header(std::uint8_t first, std::uint64_t length, std::string_view key) {
  std::string header(1, static_cast<char>(first));
  int bytes = length < 126 ? 0 : length <= 0xffff ? 2 : 8;
  std::uint64_t code = bytes == 0 ? length : bytes == 2 ? 126 : 127;
  header += static_cast<char>(0x80 | code);
  while (bytes-- > 0) header += static_cast<char>(length >> 8 * bytes);
  return header.append(key);
}

std::string client_frame(std::uint8_t first, std::string_view payload, std::string_view key) {
  std::string frame = client_frame_header(first, payload.size(), key);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    frame += static_cast<char>(payload[i] ^ key[i % 4]);
  }
  return frame;
}

}  // namespace appd::http
