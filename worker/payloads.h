// Payloads as JavaScript values, and values as payloads, in each of the encodings. The bytes that come in and the
// values that go out are hostile.
#pragma once

#include <v8.h>

#include <functional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/worker_messages.h"
#include "worker/engine.h"

namespace holdfast::worker {

// Why a value is not expressed in an encoding.
struct NotExpressed {
  std::string path;  // of the part that cannot be, "$.a[3]"; empty: it is too large
  std::string what;  // that part is: "a Map"
  std::string why;   // may be empty; what was thrown by the attempt, if something was
  std::string stack;
  std::size_t bytes = 0;  // that it would have, if it is too large
  ipc::Encoding encoding = ipc::Encoding::json;
};

struct PayloadRules {
  std::uint64_t max_bytes = 0;   // of a payload that goes out
  bool lenient_results = false;  // what JSON would lose or change is let pass
};

// Which encoding a call wants for what it comes to.
struct WantedEncoding {
  ipc::Encoding of_payload = ipc::Encoding::json;
  ipc::ResultEncoding result = ipc::ResultEncoding::automatic;
};

class Payloads {
 public:
  // Message and stack of what was thrown.
  using Describe = std::function<std::pair<std::string, std::string>(v8::Local<v8::Value> thrown)>;
  using Take = std::function<void(const ipc::ResultView&)>;

  // `engine` must outlive the object.
  Payloads(Engine& engine, Describe describe) : engine_(engine), describe_(std::move(describe)) {}

  void set_rules(const PayloadRules& rules) { rules_ = rules; }

  // Appends the arguments that the call's payload stands for; the error says for a person why it stands for none.
  tl::expected<void, std::string> read(const ipc::WorkerCall& call, std::vector<v8::Local<v8::Value>>& arguments);

  // Gives the value as a payload to `take`, which must not enter JavaScript: the payload may be the module's own
  // memory.
  tl::expected<void, NotExpressed> express(v8::Local<v8::Value> value, const WantedEncoding& wanted, const Take& take);

 private:
  using Expressed = tl::expected<void, NotExpressed>;

  tl::expected<v8::Local<v8::Value>, std::string> parse(ipc::Bytes payload, ipc::Encoding encoding);
  // ": ", and the message of what was caught, which is given up.
  std::string reason(v8::TryCatch& failure);
  Expressed express_json(v8::Local<v8::Value> value, const Take& take);
  Expressed express_bytes(v8::Local<v8::Value> value, const Take& take);
  Expressed express_structured(v8::Local<v8::Value> value, const Take& take);
  NotExpressed unserializable(v8::Local<v8::Value> value, v8::TryCatch& failure);
  bool find(const v8::Global<v8::Function>& finder, v8::Local<v8::Value> value, NotExpressed& found);
  std::string to_utf8(v8::Local<v8::Value> value, std::size_t max_bytes);

  Engine& engine_;
  const Describe describe_;
  PayloadRules rules_;
};

}  // namespace holdfast::worker
