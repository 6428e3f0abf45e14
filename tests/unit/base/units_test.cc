#include "ipc/base/units.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace holdfast::ipc {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

TEST_CASE("durations are read in every unit") {
  CHECK(parse_duration("7ns") == 7ns);
  CHECK(parse_duration("7us") == 7us);
  CHECK(parse_duration("200ms") == 200ms);
  CHECK(parse_duration("5s") == 5s);
  CHECK(parse_duration("3m") == 3min);
  CHECK(parse_duration("2h") == 2h);
  CHECK(parse_duration("1d") == 24h);
  CHECK(parse_duration("36500d") == 36500 * 24h);
}

TEST_CASE("a duration may have a fraction") {
  CHECK(parse_duration("1.5s") == 1500ms);
  CHECK(parse_duration("0.25ms") == 250us);
  CHECK(parse_duration("0.5d") == 12h);
}

TEST_CASE("a duration with a fraction is exact to the nanosecond") {
  CHECK(parse_duration("1.001s") == 1001ms);
  for (int millis = 1; millis < 20'000; ++millis) {
    std::string text = std::to_string(millis / 1000) + "." + std::to_string(1000 + millis % 1000).substr(1) + "s";
    CAPTURE(text);
    REQUIRE(parse_duration(text) == std::chrono::milliseconds(millis));
  }
}

TEST_CASE("zero needs no unit, everything else does") {
  CHECK(parse_duration("0") == 0ns);
  CHECK(parse_duration("0s") == 0ns);
  CHECK(parse_size("0") == 0u);
  CHECK(parse_duration("5").error() ==
        "\"5\" has no unit; expected a number and a unit (ns, us, ms, s, m, h, d), such as 200ms or 5s");
  CHECK(parse_size("128").error() ==
        "\"128\" has no unit; expected a number and a unit (B, kB, MB, GB, TB), such as 128MB");
}

TEST_CASE("what is not a duration is refused with what was wrong") {
  CHECK(parse_duration("5 s").error() ==
        "\"5 s\" has the unknown unit \" s\"; expected a number and a unit (ns, us, ms, s, m, h, d), such as 200ms or "
        "5s");
  for (const char* text : {"", "s", "-1s", "+1s", " 1s", "1s ", "1S", "1sec", "1e3s", "0x10s", "1,5s", "nan", "nans",
                           "inf", "infs", "infinity", "--1s", "1..5s", "1s2s"}) {
    CAPTURE(std::string_view(text));
    const auto parsed = parse_duration(text);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error().find("\"" + std::string(text) + "\"") == 0);
  }
}

TEST_CASE("a duration that no clock could hold is refused") {
  for (const char* text : {"36501d", "99999999999999s", "1000000000000000000000000000000000ns"}) {
    CAPTURE(std::string_view(text));
    const auto parsed = parse_duration(text);
    REQUIRE_FALSE(parsed.has_value());
    CHECK(parsed.error() == "\"" + std::string(text) + "\" is too long");
  }
}

TEST_CASE("sizes are read in every unit, all of them powers of 1024") {
  CHECK(parse_size("7B") == 7u);
  CHECK(parse_size("1kB") == 1024u);
  CHECK(parse_size("1KB") == 1024u);
  CHECK(parse_size("1KiB") == 1024u);
  CHECK(parse_size("128MB") == std::uint64_t{128} << 20);
  CHECK(parse_size("128MiB") == std::uint64_t{128} << 20);
  CHECK(parse_size("3GB") == std::uint64_t{3} << 30);
  CHECK(parse_size("3GiB") == std::uint64_t{3} << 30);
  CHECK(parse_size("1024TB") == std::uint64_t{1024} << 40);
  CHECK(parse_size("1TiB") == std::uint64_t{1} << 40);
  CHECK(parse_size("1.5kB") == 1536u);
  CHECK(parse_size("0.5MB") == 524288u);
}

TEST_CASE("what is not a size is refused with what was wrong") {
  CHECK(parse_size("5s").error() ==
        "\"5s\" has the unknown unit \"s\"; expected a number and a unit (B, kB, MB, GB, TB), such as 128MB");
  CHECK(parse_size("MB").error() ==
        "\"MB\" is not a number with a unit; expected a number and a unit (B, kB, MB, GB, TB), such as 128MB");
  CHECK(parse_size("1025TB").error() == "\"1025TB\" is too large");
  for (const char* text : {"", "-1MB", "1 MB", "1mb", "1M", "infMB", "nanMB", "1e3B", "99999999999999999999TB"}) {
    CAPTURE(std::string_view(text));
    CHECK_FALSE(parse_size(text).has_value());
  }
}

TEST_CASE("durations are written with one digit after the point, and only where it says more") {
  CHECK(format_duration(0ns) == "0ns");
  CHECK(format_duration(1ns) == "1ns");
  CHECK(format_duration(999ns) == "999ns");
  CHECK(format_duration(1us) == "1us");
  CHECK(format_duration(1500us) == "1.5ms");
  CHECK(format_duration(200ms) == "200ms");
  CHECK(format_duration(1500ms) == "1.5s");
  CHECK(format_duration(90s) == "90s");
  CHECK(format_duration(2h) == "7200s");
}

TEST_CASE("a duration or size that rounds up to the next unit is written in that unit") {
  CHECK(format_duration(999'960us) == "1s");
  CHECK(format_duration(999'940us) == "999.9ms");
  CHECK(format_duration(999'999ns) == "1ms");
  CHECK(format_size((std::uint64_t{1} << 20) - 1) == "1MB");
  CHECK(format_size((std::uint64_t{1} << 30) - 1) == "1GB");
}

TEST_CASE("sizes are written in powers of 1024") {
  CHECK(format_size(0) == "0B");
  CHECK(format_size(1023) == "1023B");
  CHECK(format_size(1024) == "1kB");
  CHECK(format_size(1536) == "1.5kB");
  CHECK(format_size(std::uint64_t{128} << 20) == "128MB");
  CHECK(format_size(std::uint64_t{3} << 40) == "3TB");
  CHECK(format_size(UINT64_MAX) == "16777216TB");
}

TEST_CASE("what was written is read as the same value, but for the rounding") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t value = random() >> (14 + random() % 50);
    CAPTURE(value);
    const auto size = parse_size(format_size(value));
    REQUIRE(size.has_value());
    CHECK(static_cast<double>(*size) == doctest::Approx(static_cast<double>(value)).epsilon(0.06));
    const nanoseconds duration(static_cast<std::int64_t>(value));
    const auto parsed = parse_duration(format_duration(duration));
    REQUIRE(parsed.has_value());
    CHECK(static_cast<double>(parsed->count()) == doctest::Approx(static_cast<double>(value)).epsilon(0.06));
  }
}

}  // namespace
}  // namespace holdfast::ipc
