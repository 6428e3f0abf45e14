// Finds a function's name in code as minifiers and bundlers write it.
#include "worker/plain/function_name.h"

#include <doctest/doctest.h>

#include <string>

namespace holdfast::worker {
namespace {

// In `code`, ^ marks the position that V8 reports for the function, and | marks where its name should be found. Both
// are removed. Without a |, no name should be found.
bool is_found(std::u16string code, std::u16string_view name) {
  std::size_t begin = code.find(u'^'), wanted = code.find(u'|');
  const bool has_name = wanted != std::u16string::npos;
  if (has_name) {
    code.erase(wanted, 1);
    if (begin > wanted) --begin;
  }
  code.erase(begin, 1);
  if (has_name && wanted > begin) --wanted;
  const auto found = find_function_name(code, begin, name);
  return has_name ? found == wanted : !found;
}

TEST_CASE("a function's name is found where it is declared, assigned or a property") {
  CHECK(is_found(u"^function |i(){for(;;);}", u"i"));
  CHECK(is_found(u"x();^async function |i(){}", u"i"));
  CHECK(is_found(u"^function*|i(){}", u"i"));
  CHECK(is_found(u"^function * |i(){}", u"i"));
  CHECK(is_found(u"^async function*|$a(){}", u"$a"));
  CHECK(is_found(u"var |i=^()=>{}", u"i"));
  CHECK(is_found(u"var |i = ^() => {}", u"i"));
  CHECK(is_found(u"var |i=async ^()=>{}", u"i"));
  CHECK(is_found(u"var |i=^async()=>{}", u"i"));
  CHECK(is_found(u"var |i=^r=>r", u"i"));
  CHECK(is_found(u"var |i=(^function(){})", u"i"));
  CHECK(is_found(u"a={|i:^function(){}}", u"i"));
  CHECK(is_found(u"a={^|i(){}}", u"i"));
  CHECK(is_found(u"a={^async*|i(){}}", u"i"));
  CHECK(is_found(u"class A{static ^get |i(){}}", u"i"));
  CHECK(is_found(u"class A{^|get(){}}", u"get"));
  CHECK(is_found(u"class A{^|#i(){}}", u"#i"));
}

TEST_CASE("a constructor has its class's name") {
  CHECK(is_found(u"^class |i{}", u"i"));
  CHECK(is_found(u"var |i=^class{}", u"i"));
  CHECK(is_found(u"class |i{a(){}^constructor(){}}", u"i"));
  CHECK(is_found(u"var |i=class{^constructor(){}}", u"i"));
  CHECK(is_found(u"var |i=class extends r{^constructor(){}}", u"i"));
  CHECK(is_found(u"var |i=class n{^constructor(){let t=class{}}}", u"i"));
  CHECK(is_found(u"var classy=1,i=2;^constructor(){}", u"i"));
}

TEST_CASE("where the code does not say so, no name is found") {
  CHECK(is_found(u"^function r(){}", u"i"));
  CHECK(is_found(u"x(^()=>{})", u"i"));
  CHECK(is_found(u"i==^()=>{}", u"i"));
  CHECK(is_found(u"i=r=>^n=>n", u"i"));
  CHECK(is_found(u"xi=^()=>{}", u"i"));
  CHECK(is_found(u"^", u"i"));
  CHECK_FALSE(find_function_name(u"function i", 99, u"i").has_value());
  CHECK_FALSE(find_function_name(u"function i", 0, u"").has_value());
}

}  // namespace
}  // namespace holdfast::worker
