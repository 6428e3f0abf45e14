// What one client can do to another by the connections that it holds.
#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "tests/adversarial/hostile.h"
#include "tests/support/raw_connection.h"

namespace holdfast::test {
namespace {

TEST_CASE("connections that never say hello do not delay another client's calls") {
  Ring ring("exports.ping = () => 1;");
  std::vector<std::unique_ptr<RawConnection>> silent;
  for (int i = 0; i < 100; ++i) {
    silent.push_back(std::make_unique<RawConnection>(ring.daemon().socket_path()));
    silent.back()->send(std::string_view("\0\0\0", 3));
  }
  ring.check_unharmed();
  silent.clear();
  ring.finish();
}

}  // namespace
}  // namespace holdfast::test
