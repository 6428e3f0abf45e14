#include "worker/v8/native_compression.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <optional>

#include "worker/v8/native_bytes.h"

namespace holdfast::worker {
namespace {

using Arguments = v8::FunctionCallbackInfo<v8::Value>;

enum class Direction { compress, decompress };

// Whether more input comes after what was pushed.
enum class Input { goes_on, ended };

// The most output of one pullBytes().
constexpr std::size_t kPartBytes = 64 << 10;

// The most input of one pullBytes(): a few milliseconds of work, after which V8 may interrupt.
constexpr std::size_t kMostReadAtATime = std::size_t{1} << 20;

// What V8 is told of a stream's memory, so that it collects unused streams. zlib's own figures (zconf.h) for the
// windows and hash tables below, rounded.
constexpr std::int64_t kCompressorBytes = 270 << 10;
constexpr std::int64_t kDecompressorBytes = 45 << 10;

// zlib's memory is charged to the module as buffers are. The size, which giving it back takes, stands in front.
struct alignas(16) Block {
  std::size_t size;
};

void* allocate(void* isolate, uInt count, uInt size) {
  const std::size_t bytes = sizeof(Block) + std::size_t{count} * size;
  void* memory = take_buffer_memory(static_cast<v8::Isolate*>(isolate), bytes);
  if (memory == nullptr) return nullptr;
  return new (memory) Block{bytes} + 1;
}

void release(void* isolate, void* memory) {
  Block* block = static_cast<Block*>(memory) - 1;
  give_back_buffer_memory(static_cast<v8::Isolate*>(isolate), block, block->size);
}

// zlib's windowBits names the format, too. The window is 32 kB, the largest, which any compressed data may use.
int window_bits(std::int32_t format) {
  constexpr int kGzip = 16 + MAX_WBITS, kZlib = MAX_WBITS, kRaw = -MAX_WBITS;
  return format == 0 ? kGzip : format == 1 ? kZlib : kRaw;
}

// One stream, owned by its JavaScript object.
class ByteStream {
 public:
  ByteStream(v8::Isolate* isolate, Direction direction) : isolate_(isolate), direction_(direction) {
    zlib_.opaque = isolate;
    zlib_.zalloc = allocate;
    zlib_.zfree = release;
  }
  ~ByteStream() {
    object_.Reset();
    close();
  }
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  // Returns false if there is no memory for it.
  bool open(std::int32_t format) {
    const int status = direction_ == Direction::compress
                           ? deflateInit2(&zlib_, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window_bits(format),
                                          MAX_MEM_LEVEL - 1, Z_DEFAULT_STRATEGY)
                           : inflateInit2(&zlib_, window_bits(format));
    if (status != Z_OK) return false;
    is_open_ = true;
    isolate_->AdjustAmountOfExternalAllocatedMemory(told_bytes());
    return true;
  }

  // Owned by `object` from now on.
  void live_with(v8::Local<v8::Object> object) {
    object->SetAlignedPointerInInternalField(0, this);
    object_.Reset(isolate_, object);
    // Delete at once, in the middle of the collection: an allocation may be waiting for this memory, and a
    // second-pass callback would come too late. The destructor does not enter V8.
    object_.SetWeak(
        this, [](const v8::WeakCallbackInfo<ByteStream>& info) { delete info.GetParameter(); },
        v8::WeakCallbackType::kParameter);
  }

  static ByteStream& of(v8::Local<v8::Value> value) {
    return *static_cast<ByteStream*>(value.As<v8::Object>()->GetAlignedPointerFromInternalField(0));
  }

  void push(v8::Local<v8::Value> input) {
    input_.Reset(isolate_, input);
    read_ = 0;
  }

  // pullBytes() of native_compression.h; empty if an exception was thrown.
  v8::MaybeLocal<v8::Value> pull(Input input);

 private:
  std::int64_t told_bytes() const { return direction_ == Direction::compress ? kCompressorBytes : kDecompressorBytes; }

  void close() {
    input_.Reset();
    if (!is_open_) return;
    is_open_ = false;
    direction_ == Direction::compress ? deflateEnd(&zlib_) : inflateEnd(&zlib_);
    isolate_->AdjustAmountOfExternalAllocatedMemory(-told_bytes());
  }

  v8::MaybeLocal<v8::Value> fail(const char* message) {
    close();
    throw_type_error(isolate_, message);
    return {};
  }

  v8::Local<v8::Value> nothing() const { return v8::Undefined(isolate_); }

  bool has_unread() const { return !input_.IsEmpty() && InputBytes(input_.Get(isolate_)).bytes().size() > read_; }

  // Runs zlib once, bounded by the room for output and by kMostReadAtATime.
  int turn(Input input);

  v8::Isolate* const isolate_;
  const Direction direction_;
  z_stream zlib_{};
  bool is_open_ = false;
  bool has_ended_ = false;  // the end of the compressed data was reached
  v8::Global<v8::Object> object_;
  v8::Global<v8::Value> input_;
  std::size_t read_ = 0;  // of the input
};

int ByteStream::turn(Input input) {
  std::optional<InputBytes> bytes;
  std::size_t given = 0;
  zlib_.next_in = nullptr;
  if (!input_.IsEmpty()) {
    bytes.emplace(input_.Get(isolate_));
    const std::span<const std::uint8_t> all = bytes->bytes();
    // The module may have detached the buffer.
    const std::span<const std::uint8_t> rest = all.subspan(std::min(read_, all.size()));
    given = std::min(rest.size(), kMostReadAtATime);
    zlib_.next_in = const_cast<Bytef*>(rest.data());
  }
  zlib_.avail_in = static_cast<uInt>(given);
  const int status = direction_ == Direction::compress ? deflate(&zlib_, input == Input::ended ? Z_FINISH : Z_NO_FLUSH)
                                                       : inflate(&zlib_, Z_NO_FLUSH);
  read_ += given - zlib_.avail_in;
  return status;
}

v8::MaybeLocal<v8::Value> ByteStream::pull(Input input) {
  const bool is_last = input == Input::ended;
  static std::array<std::uint8_t, kPartBytes> part;
  const bool is_compressor = direction_ == Direction::compress;
  if (!is_open_) return nothing();
  if (has_ended_) {
    if (has_unread()) return fail("there are bytes after the end of the compressed data");
    if (is_last) close();
    return nothing();
  }
  zlib_.next_out = part.data();
  zlib_.avail_out = static_cast<uInt>(part.size());
  const int status = turn(input);
  const std::size_t produced = part.size() - zlib_.avail_out;
  // Z_BUF_ERROR only says that there was nothing to do.
  if (status == Z_MEM_ERROR) {
    close();
    throw_range_error(isolate_, "Array buffer allocation failed");
    return {};
  }
  if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
    return fail("the data is not compressed in this format, or is damaged");
  }
  has_ended_ = status == Z_STREAM_END;
  if (produced != 0) {
    v8::Local<v8::Uint8Array> array;
    if (make_uint8_array(isolate_, std::span(part).first(produced)).ToLocal(&array)) return array;
    close();
    return {};
  }
  if (has_unread()) return v8::Null(isolate_);
  input_.Reset();
  if (is_last && has_ended_) close();
  if (is_last && !is_compressor && !has_ended_) return fail("the compressed data ends too early");
  return nothing();
}

// --- functions -----------------------------------------------------------------------------------------------------

template <Direction direction>
void make_stream(const Arguments& arguments) {
  static v8::Global<v8::ObjectTemplate> of_streams;
  v8::Isolate* isolate = arguments.GetIsolate();
  if (of_streams.IsEmpty()) {
    v8::Local<v8::ObjectTemplate> fresh = v8::ObjectTemplate::New(isolate);
    fresh->SetInternalFieldCount(1);
    of_streams.Reset(isolate, fresh);
  }
  v8::Local<v8::Object> object;
  if (!of_streams.Get(isolate)->NewInstance(isolate->GetCurrentContext()).ToLocal(&object)) return;
  auto stream = std::make_unique<ByteStream>(isolate, direction);
  if (!stream->open(arguments[0].As<v8::Int32>()->Value())) {
    return throw_range_error(isolate, "Array buffer allocation failed");
  }
  stream.release()->live_with(object);
  arguments.GetReturnValue().Set(object);
}

void push_bytes(const Arguments& arguments) {
  if (!InputBytes::accepts(arguments[1])) {
    return throw_type_error(arguments.GetIsolate(), "a chunk must be an ArrayBuffer or a view of one");
  }
  ByteStream::of(arguments[0]).push(arguments[1]);
}

void pull_bytes(const Arguments& arguments) {
  v8::Local<v8::Value> part;
  if (ByteStream::of(arguments[0]).pull(arguments[1]->IsTrue() ? Input::ended : Input::goes_on).ToLocal(&part))
    arguments.GetReturnValue().Set(part);
}

}  // namespace

void install_compression_functions(v8::Local<v8::Context> context, v8::Local<v8::Object> host) {
  install_native(context, host, "makeCompressor", make_stream<Direction::compress>);
  install_native(context, host, "makeDecompressor", make_stream<Direction::decompress>);
  install_native(context, host, "pushBytes", push_bytes);
  install_native(context, host, "pullBytes", pull_bytes);
}

}  // namespace holdfast::worker
