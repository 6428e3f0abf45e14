// Durations and sizes as users write them in flags and read them in messages: "200ms", "5s", "128MB".
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace holdfast::ipc {

// Accepts a non-negative decimal number, possibly with a fraction, and a unit: ns, us, ms, s, m, h, d. "0" needs no
// unit. The error says what was wrong and what was expected.
tl::expected<std::chrono::nanoseconds, std::string> parse_duration(std::string_view text);

// Accepts a non-negative decimal number, possibly with a fraction, and a unit: B, kB, MB, GB, TB or KiB, MiB, GiB,
// TiB. All units are powers of 1024, as systemd and Docker count memory. "0" needs no unit. The error says what was
// wrong and what was expected.
tl::expected<std::uint64_t, std::string> parse_size(std::string_view text);

// Formats in the largest unit that gives at least 1, with one digit after the point unless it is 0: "1.5s", "200ms",
// "128MB". The largest unit of time is the second: "90s".
std::string format_duration(std::chrono::nanoseconds duration);
std::string format_size(std::uint64_t bytes);

}  // namespace holdfast::ipc
