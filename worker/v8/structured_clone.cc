#include "worker/v8/structured_clone.h"

#include <algorithm>
#include <cstring>

#include "worker/v8/native_bytes.h"

namespace holdfast::worker {
namespace {

void throw_data_clone_error(v8::Isolate* isolate, v8::Local<v8::String> message) {
  v8::Local<v8::Value> error = v8::Exception::Error(message);
  // If there is no memory for the property, the message alone must do.
  (void)error.As<v8::Object>()
      ->DefineOwnProperty(isolate->GetCurrentContext(), v8::String::NewFromUtf8Literal(isolate, "name"),
                          v8::String::NewFromUtf8Literal(isolate, "DataCloneError"), v8::DontEnum)
      .FromMaybe(false);
  isolate->ThrowException(error);
}

class Writer final : public v8::ValueSerializer::Delegate {
 public:
  Writer(v8::Isolate* isolate, std::size_t max_bytes) : isolate_(isolate), max_bytes_(max_bytes) {}
  ~Writer() override {
    if (data_ != nullptr) give_back_buffer_memory(isolate_, data_, capacity_);
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  bool is_too_large() const { return is_too_large_; }

  // Call it after the serializer has released the same memory.
  SerializedValue take(std::size_t size) {
    return {isolate_, static_cast<std::uint8_t*>(std::exchange(data_, nullptr)), size, capacity_};
  }

  void ThrowDataCloneError(v8::Local<v8::String> message) override { throw_data_clone_error(isolate_, message); }

  v8::Maybe<bool> WriteHostObject(v8::Isolate* isolate, v8::Local<v8::Object>) override {
    refuse(isolate);
    return v8::Nothing<bool>();
  }
  v8::Maybe<std::uint32_t> GetSharedArrayBufferId(v8::Isolate* isolate, v8::Local<v8::SharedArrayBuffer>) override {
    refuse(isolate);
    return v8::Nothing<std::uint32_t>();
  }
  v8::Maybe<std::uint32_t> GetWasmModuleTransferId(v8::Isolate* isolate, v8::Local<v8::WasmModuleObject>) override {
    refuse(isolate);
    return v8::Nothing<std::uint32_t>();
  }

  void* ReallocateBufferMemory(void* old, std::size_t size, std::size_t* actual_size) override {
    // V8 asks for up to twice what it needs, and a little more.
    if (size / 2 > max_bytes_ + 64) {
      is_too_large_ = true;
      return nullptr;
    }
    void* larger = take_buffer_memory(isolate_, size);
    if (larger == nullptr) return nullptr;
    if (old != nullptr) {
      std::memcpy(larger, old, std::min(capacity_, size));
      give_back_buffer_memory(isolate_, old, capacity_);
    }
    data_ = larger;
    capacity_ = *actual_size = size;
    return larger;
  }
  // This object frees it.
  void FreeBufferMemory(void*) override {}

 private:
  static void refuse(v8::Isolate* isolate) {
    throw_data_clone_error(isolate, v8::String::NewFromUtf8Literal(isolate, "an object of this kind cannot be cloned"));
  }

  v8::Isolate* const isolate_;
  const std::size_t max_bytes_;
  void* data_ = nullptr;
  std::size_t capacity_ = 0;
  bool is_too_large_ = false;
};

class Reader final : public v8::ValueDeserializer::Delegate {
 public:
  v8::MaybeLocal<v8::Object> ReadHostObject(v8::Isolate* isolate) override {
    refuse(isolate);
    return {};
  }
  v8::MaybeLocal<v8::WasmModuleObject> GetWasmModuleFromId(v8::Isolate* isolate, std::uint32_t) override {
    refuse(isolate);
    return {};
  }
  v8::MaybeLocal<v8::SharedArrayBuffer> GetSharedArrayBufferFromId(v8::Isolate* isolate, std::uint32_t) override {
    refuse(isolate);
    return {};
  }

 private:
  static void refuse(v8::Isolate* isolate) {
    throw_data_clone_error(isolate, v8::String::NewFromUtf8Literal(isolate, "an object of this kind is not allowed"));
  }
};

}  // namespace

SerializedValue::~SerializedValue() {
  if (data_ != nullptr) give_back_buffer_memory(isolate_, data_, capacity_);
}

SerializedValue::SerializedValue(SerializedValue&& other) noexcept
    : isolate_(other.isolate_),
      data_(std::exchange(other.data_, nullptr)),
      size_(other.size_),
      capacity_(other.capacity_) {}

tl::expected<SerializedValue, SerializeFailure> serialize_value(v8::Local<v8::Context> context,
                                                                v8::Local<v8::Value> value, std::size_t max_bytes,
                                                                v8::Local<v8::Value> further) {
  v8::Isolate* isolate = context->GetIsolate();
  Writer writer(isolate, max_bytes);
  v8::ValueSerializer serializer(isolate, &writer);
  v8::TryCatch failure(isolate);
  serializer.WriteHeader();
  const bool written = serializer.WriteValue(context, value).FromMaybe(false) &&
                       (further.IsEmpty() || serializer.WriteValue(context, further).FromMaybe(false));
  const std::size_t size = serializer.Release().second;
  if (writer.is_too_large() || (written && size > max_bytes)) {
    failure.Reset();  // V8's error says that memory was refused
    return tl::unexpected(SerializeFailure::too_large);
  }
  if (!written) {
    if (!failure.HasCaught()) throw_range_error(isolate, "Array buffer allocation failed");
    failure.ReThrow();
    return tl::unexpected(SerializeFailure::threw);
  }
  return writer.take(size);
}

v8::MaybeLocal<v8::Value> deserialize_value(v8::Local<v8::Context> context, std::span<const std::uint8_t> bytes,
                                            v8::Local<v8::Value>* further) {
  v8::Isolate* isolate = context->GetIsolate();
  v8::TryCatch failure(isolate);
  Reader reader;
  v8::ValueDeserializer deserializer(isolate, bytes.data(), bytes.size(), &reader);
  v8::Local<v8::Value> value;
  const auto is_at_end = [&] {
    const void* position = nullptr;
    return deserializer.ReadRawBytes(0, &position) && position == bytes.data() + bytes.size();
  };
  if (deserializer.ReadHeader(context).FromMaybe(false) && deserializer.ReadValue(context).ToLocal(&value)) {
    if (is_at_end()) return value;
    if (further != nullptr && deserializer.ReadValue(context).ToLocal(further) && is_at_end()) return value;
  }
  if (!failure.HasCaught()) {
    throw_data_clone_error(isolate, v8::String::NewFromUtf8Literal(isolate, "the bytes are not a structured value"));
  }
  failure.ReThrow();
  return {};
}

}  // namespace holdfast::worker
