// UnknownCall: a call of a method that there is not.
#pragma once

#include "supervisor/api/call.h"

namespace appd::api {

// Ends with METHOD_UNKNOWN and what there is instead, for whom is let in at all. API thread only.
class UnknownCall final : public Call {
 public:
  // Serves all of them, one after the other being asked for.
  static void serve(CallHost& host, grpc::AsyncGenericService& service, const Services& known);

 private:
  UnknownCall(CallHost& host, grpc::AsyncGenericService& service, const Services& known)
      : Call(host, kName), service_(service), known_(known) {}
  void ask_next() override { serve(host_, service_, known_); }
  google::protobuf::Message* message() override { return nullptr; }
  void start() override { end(method_unknown(context_.method(), known_)); }

  static inline const std::string kName = "unknown";
  grpc::AsyncGenericService& service_;
  const Services& known_;
};

}  // namespace appd::api
