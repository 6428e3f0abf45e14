#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tools/cli/bench/module_files.h"
#include "tools/cli/bench/payload_text.h"

using namespace holdfast::cli::bench;

TEST_CASE("a payload of JSON has exactly its size and is what JSON.stringify would write") {
  for (const std::size_t size : {16, 17, 100, 256, 4096, 65536, 1000003}) {
    const std::string json = json_of_size(size);
    CHECK(json.size() == size);
    CHECK(nlohmann::ordered_json::parse(json).dump() == json);
  }
}

TEST_CASE("payloads are the same in every run") {
  CHECK(json_of_size(5000) == json_of_size(5000));
  CHECK(bytes_of_size(5000) == bytes_of_size(5000));
  CHECK(bytes_of_size(5001).size() == 5001);
}

TEST_CASE("a module has about its size, and its code does not repeat") {
  for (const std::size_t size : {1 << 10, 10 << 10, 100 << 10, 1 << 20}) {
    const std::string code = module_of_size(size);
    CHECK(code.size() >= size);
    CHECK(code.size() < size + 1024);
    std::set<std::string> heads;
    std::size_t count = 0;
    std::istringstream lines(code);
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("function ") && !line.starts_with("class ")) continue;
      heads.insert(line);
      ++count;
    }
    CHECK(heads.size() == count);
    CHECK(count > 0);
  }
}

TEST_CASE("the folder of modules goes away with its owner") {
  std::filesystem::path folder;
  {
    const auto files = ModuleFiles::make();
    REQUIRE(files);
    folder = files->folder();
    const auto names = files->write_many("some", 3);
    REQUIRE(names);
    CHECK(names->size() == 3);
    CHECK(std::filesystem::exists(folder / "some-2-bench.js"));
  }
  CHECK_FALSE(std::filesystem::exists(folder));
}
