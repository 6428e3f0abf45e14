// Converts payloads to JavaScript values, and values to payloads, in each of the encodings. Incoming bytes and
// outgoing values are hostile.
#pragma once

#include <v8.h>

#include <functional>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/worker_messages.h"
#include "worker/v8/engine.h"
#include "worker/v8/structured_clone.h"

namespace holdfast::worker {

// Why a value cannot be expressed in an encoding.
struct NotExpressed {
  std::string path;  // where the part is that cannot be expressed: "$.a[3]"; empty: the value is too large
  std::string what;  // what that part is: "a Map"
  std::string why;   // the error that the attempt threw, or advice; may be empty
  std::string stack;
  std::size_t bytes = 0;  // the size that it would have, if it is too large
  ipc::Encoding encoding = ipc::Encoding::json;
};

struct PayloadRules {
  std::uint64_t max_bytes = 0;   // of an outgoing payload
  bool lenient_results = false;  // accept values that JSON would lose or change
};

// Which encoding a call wants for its result.
struct WantedEncoding {
  ipc::Encoding of_payload = ipc::Encoding::json;
  ipc::ResultEncoding result = ipc::ResultEncoding::automatic;
};

class Payloads {
 public:
  // Returns the message and the stack of a value that was thrown.
  using Describe = std::function<std::pair<std::string, std::string>(v8::Local<v8::Value> thrown)>;
  using Take = std::function<void(const ipc::ResultView&)>;

  // `engine` must outlive the object.
  Payloads(Engine& engine, Describe describe) : engine_(engine), describe_(std::move(describe)) {}

  void set_rules(const PayloadRules& rules) { rules_ = rules; }
  const PayloadRules& rules() const { return rules_; }

  // Decodes the call's payload and appends the arguments that it stands for. The error tells a person why it cannot
  // be decoded.
  tl::expected<void, std::string> read(const ipc::WorkerCall& call, std::vector<v8::Local<v8::Value>>& arguments);

  // Encodes the value and passes the payload to `take`. `take` must not enter JavaScript, because the payload may be
  // the module's own memory.
  tl::expected<void, NotExpressed> express(v8::Local<v8::Value> value, const WantedEncoding& wanted, const Take& take);

 private:
  using Expressed = tl::expected<void, NotExpressed>;

  tl::expected<v8::Local<v8::Value>, std::string> parse(ipc::Bytes payload, ipc::Encoding encoding);
  v8::MaybeLocal<v8::Value> parse_structured(std::span<const std::uint8_t> payload);
  Expressed express_json(v8::Local<v8::Value> value, const Take& take);
  Expressed express_bytes(v8::Local<v8::Value> value, const Take& take);
  Expressed express_structured(v8::Local<v8::Value> value, const Take& take);
  // Describes the exception that was caught, and clears it.
  std::pair<std::string, std::string> describe(v8::TryCatch& failure);
  Expressed express_with_details(v8::Local<v8::Value> value, const Take& take);
  // Clears the exception in `failure`.
  NotExpressed not_serialized(SerializeFailure why, v8::TryCatch& failure);
  NotExpressed unserializable(v8::Local<v8::Value> value, v8::TryCatch& failure);
  // Calls the runtime's function. Returns true if it found something, [path, what], and puts that into `found`.
  bool find(const v8::Global<v8::Function>& finder, v8::Local<v8::Value> value, NotExpressed& found);
  bool take_finding(v8::Local<v8::Value> place, NotExpressed& found);
  v8::MaybeLocal<v8::Value> call_runtime(const v8::Global<v8::Function>& function, v8::Local<v8::Value> value);
  std::string to_utf8(v8::Local<v8::Value> value, std::size_t max_bytes);

  Engine& engine_;
  const Describe describe_;
  PayloadRules rules_;
};

}  // namespace holdfast::worker
