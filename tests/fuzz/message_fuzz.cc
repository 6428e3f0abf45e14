// Each decode function against a peer that sends any message. A message that decodes is read to its last byte and
// encoded again, and must decode to the same message.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "ipc/base/text.h"
#include "ipc/frame.h"
#include "tests/support/ipc_values.h"

namespace {

using namespace holdfast::ipc;

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

// Checks texts as they are prepared for logs and terminals.
void check_cleaning(std::string_view text) {
  const std::string clean = clean_utf8(text, 200);
  expect(clean.size() <= 200, "cleaned text fits");
  expect(clean_utf8(clean, 200) == clean, "cleaned text is clean");
  for (const char c : printable(text, Newlines::escape)) {
    const auto byte = static_cast<unsigned char>(c);
    expect((byte >= 0x20 || c == '\t') && byte != 0x7F, "printable text has no control characters");
  }
}

template <typename Protocol>
void check(const Frame& frame) {
  const auto message = Protocol::decode(frame);
  if (!message) {
    expect(!message.error().message.empty(), "a violation says what was broken");
    return;
  }
  const std::string description = testing::describe(*message);
  // Fields of a hostile message may overlap, but only as often as the traversal limit allows. One word of a list may
  // stand for eight elements, each with a description of some 500 bytes.
  expect(description.size() <= frame.total_words() * 8192 + 65536, "a message is not much larger than its frame");
  check_cleaning(description);
  const auto again = testing::after_a_round_trip<Protocol>(*message);
  expect(again.has_value(), "what was decoded can be sent");
  expect(*again == description, "what was decoded arrives as it was");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FrameReader reader;
  testing::feed(reader, {reinterpret_cast<const char*>(data), size});
  while (true) {
    const auto frame = reader.next();
    if (!frame || !frame->has_value()) return 0;
    testing::for_each_protocol([&]<typename Protocol>(Protocol) { check<Protocol>(**frame); });
  }
}
