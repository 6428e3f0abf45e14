#include "ipc/socket_path.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

namespace holdfast::ipc {
namespace {

// Sets an environment variable, or removes it, until the end of a test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    set(value);
  }
  ~Variable() { set(old_ ? old_->c_str() : nullptr); }

 private:
  void set(const char* value) { value == nullptr ? ::unsetenv(name_) : ::setenv(name_, value, 1); }

  const char* name_;
  std::optional<std::string> old_;
};

TEST_CASE("HOLDFAST_SOCKET sets the default path of the socket") {
  Variable socket("HOLDFAST_SOCKET", "/some/where.sock");
  CHECK(default_socket_path() == "/some/where.sock");
}

TEST_CASE("without HOLDFAST_SOCKET, or with an empty one, the socket is where the user may make it") {
  for (const char* value : {static_cast<const char*>(nullptr), ""}) {
    Variable socket("HOLDFAST_SOCKET", value);
    Variable runtime("XDG_RUNTIME_DIR", "/run/user/1234");
    if (::geteuid() == 0) {
      CHECK(default_socket_path() == "/run/holdfast/holdfast.sock");
      REQUIRE(::seteuid(65534) == 0);
    }
    const std::string with_runtime_directory = default_socket_path();
    ::unsetenv("XDG_RUNTIME_DIR");
    const std::string without = default_socket_path();
    const std::string user = std::to_string(::geteuid());
    if (::getuid() == 0) REQUIRE(::seteuid(0) == 0);
    CHECK(with_runtime_directory == "/run/user/1234/holdfast/holdfast.sock");
    CHECK(without == "/run/user/" + user + "/holdfast/holdfast.sock");
  }
}

TEST_CASE("a socket's path may have 107 bytes, and no more") {
  const std::string longest(107, 'x');
  CHECK_FALSE(socket_path_problem(longest));
  CHECK(socket_path_problem(longest + "x") ==
        "the socket's path " + longest + "x has 108 bytes; at most 107 are allowed");
}

}  // namespace
}  // namespace holdfast::ipc
