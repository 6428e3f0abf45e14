#include "worker/v8/native_bytes.h"

#include <cstring>
#include <utility>

namespace holdfast::worker {
namespace {

v8::Local<v8::String> text(v8::Isolate* isolate, std::string_view message) {
  return v8::String::NewFromUtf8(isolate, message.data(), v8::NewStringType::kNormal, static_cast<int>(message.size()))
      .ToLocalChecked();
}

}  // namespace

void throw_type_error(v8::Isolate* isolate, std::string_view message) {
  isolate->ThrowException(v8::Exception::TypeError(text(isolate, message)));
}

void throw_range_error(v8::Isolate* isolate, std::string_view message) {
  isolate->ThrowException(v8::Exception::RangeError(text(isolate, message)));
}

void install_native(v8::Local<v8::Context> context, v8::Local<v8::Object> host, const char* name,
                    v8::FunctionCallback callback) {
  v8::Local<v8::Function> function =
      v8::Function::New(context, callback, {}, 0, v8::ConstructorBehavior::kThrow).ToLocalChecked();
  host->Set(context, text(context->GetIsolate(), name), function).Check();
}

bool InputBytes::accepts(v8::Local<v8::Value> value) {
  if (value->IsArrayBuffer()) return true;
  // A view of a SharedArrayBuffer cannot exist: there are none (worker/v8/engine.cc).
  return value->IsArrayBufferView();
}

InputBytes::InputBytes(v8::Local<v8::Value> value) {
  if (value->IsArrayBuffer()) {
    const auto store = value.As<v8::ArrayBuffer>()->GetBackingStore();
    bytes_ = {static_cast<const std::uint8_t*>(store->Data()), store->ByteLength()};
    return;
  }
  const auto view = value.As<v8::ArrayBufferView>();
  const std::size_t size = view->ByteLength();
  if (!view->HasBuffer() && size <= small_.size()) {
    view->CopyContents(small_.data(), size);
    bytes_ = {small_.data(), size};
  } else if (size != 0) {
    const auto store = view->Buffer()->GetBackingStore();
    bytes_ = {static_cast<const std::uint8_t*>(store->Data()) + view->ByteOffset(), size};
  }
}

void* take_buffer_memory(v8::Isolate* isolate, std::size_t size, Fresh fresh) {
  v8::ArrayBuffer::Allocator* const allocator = isolate->GetArrayBufferAllocator();
  const auto allocate = [&] {
    return fresh == Fresh::zeroed ? allocator->Allocate(size) : allocator->AllocateUninitialized(size);
  };
  void* data = allocate();
  if (data == nullptr) {
    // As V8 does for array buffers: collecting unused ones may make room.
    isolate->LowMemoryNotification();
    data = allocate();
  }
  return data;
}

void give_back_buffer_memory(v8::Isolate* isolate, void* data, std::size_t size) {
  isolate->GetArrayBufferAllocator()->Free(data, size);
}

BufferMemory::BufferMemory(v8::Isolate* isolate, std::size_t size, Fresh fresh) : isolate_(isolate), size_(size) {
  data_ = static_cast<std::uint8_t*>(take_buffer_memory(isolate, size, fresh));
  if (data_ == nullptr) throw_range_error(isolate, "Array buffer allocation failed");
}

BufferMemory::~BufferMemory() {
  if (data_ != nullptr) give_back_buffer_memory(isolate_, data_, size_);
}

v8::Local<v8::ArrayBuffer> BufferMemory::release() {
  const auto give_back = [](void* data, std::size_t size, void* isolate) {
    give_back_buffer_memory(static_cast<v8::Isolate*>(isolate), data, size);
  };
  return v8::ArrayBuffer::New(
      isolate_, v8::ArrayBuffer::NewBackingStore(std::exchange(data_, nullptr), size_, give_back, isolate_));
}

v8::MaybeLocal<v8::Uint8Array> make_uint8_array(v8::Isolate* isolate, std::span<const std::uint8_t> bytes) {
  BufferMemory memory(isolate, bytes.size(), Fresh::any);
  if (!memory) return {};
  if (!bytes.empty()) std::memcpy(memory.data(), bytes.data(), bytes.size());
  return v8::Uint8Array::New(memory.release(), 0, bytes.size());
}

}  // namespace holdfast::worker
