// What `holdfast` reports of the last output of a holdfastd that did not start.
#include "tools/cli/start_failure.h"

#include <doctest/doctest.h>

namespace holdfast::cli {
namespace {

TEST_CASE("the reason of a failed start is the last critical line, without time and level") {
  CHECK(reason_of_failed_start("2026-01-02T03:04:05.678+00:00 warning --allow-missing root: gone\n"
                               "2026-01-02T03:04:05.679+00:00 critical cannot start workers: root: no\n") ==
        "cannot start workers: root: no");
}

TEST_CASE("the reason of a failed start is everything else that was printed, without a word on --help") {
  CHECK(reason_of_failed_start("error: --memory: \"1MB\" is too little\n`holdfastd --help` tells more.\n") ==
        "--memory: \"1MB\" is too little");
  CHECK(reason_of_failed_start("holdfastd: error while loading shared libraries: libfmt.so.9: no\n") ==
        "holdfastd: error while loading shared libraries: libfmt.so.9: no");
  CHECK(reason_of_failed_start("file:1: a\n\nfile:2: b\n") == "file:1: a\nfile:2: b");
  CHECK(reason_of_failed_start("\x1b[2J\xff") == "\\x1b[2J\xef\xbf\xbd");
  CHECK(reason_of_failed_start("") == "");
}

TEST_CASE("the layer of a failed start is found by its name alone") {
  CHECK(layer_of_failed_start("cannot start workers: namespaces: unshare: no; do") == "namespaces");
  CHECK(layer_of_failed_start("cannot start workers: a worker cannot be locked down: seccomp: no") == "seccomp");
  CHECK(layer_of_failed_start("supervisor: setgroups(none): no") == "supervisor");
  CHECK(layer_of_failed_start("cannot start workers: /bin/true ended: with a colon") == "");
  CHECK(message_on_layer("cannot start workers: namespaces: unshare: no; do") == "unshare: no; do");
}

}  // namespace
}  // namespace holdfast::cli
