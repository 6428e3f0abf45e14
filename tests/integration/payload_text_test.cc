// Payloads that claim to be JSON and are not UTF-8: the call is answered with an error, and the connection stays open.
#include <doctest/doctest.h>

#include <string>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

const Module kTextEcho = {"echo", "exports.echo = (payload) => payload;"};

TEST_CASE("JSON that is not UTF-8 is a protocol_error of its call alone, relayed and on a direct line") {
  Daemon daemon({.modules = {kTextEcho}, .flags = {"--direct-line"}});
  for (const bool has_line : {false, true}) {
    CAPTURE(has_line);
    ipc::Client client = daemon.connect();
    if (has_line) REQUIRE(client.open_line({"echo", "v1"}).has_value());
    for (const std::string& wrong :
         {std::string("\"a\xff"
                      "b\""),
          std::string("\"\xc0\x80\""), std::string("\"\xed\xa0\x80\""), std::string("\"\xf4\x90\x80\x80\""),
          std::string("\"\xe2\x82"), std::string("{\"k\xfe\":1}"), std::string("\"\xc3\xa9\xa9\""),
          "\"" + std::string(5000, 'a') + "\x80\""}) {
      const ipc::Error error = error_of(call(client, {"echo", "echo", wrong}));
      CHECK(error.code == ipc::ErrorCode::protocol_error);
      CHECK(contains(error.message, "the payload is not JSON: the byte 0x"));
      CHECK(contains(error.message, "is not UTF-8"));
    }
    for (const char* right : {"\"\xc3\xa9\"", "\"\xe2\x82\xac\xf0\x9f\x98\x80\"", "\"\xef\xbf\xbd\"", "\"ascii\"",
                              "\"\x7f\xc2\x80\"", "{\"\xc3\xa9\":1}"}) {
      CHECK(outcome(call(client, {"echo", "echo", right})) == right);
    }
    CHECK(client.connected());
  }
  daemon.stop();
}

TEST_CASE("the error about JSON that is not UTF-8 names the first wrong byte and its place") {
  Daemon daemon({.modules = {kTextEcho}});
  ipc::Client client = daemon.connect();
  CHECK(
      contains(outcome(call(client, {"echo", "echo", "\"\xc3\xa9\xff\""})), "the byte 0xff at offset 3 is not UTF-8"));
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
