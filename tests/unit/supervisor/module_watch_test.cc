// Changes in real directories that the watch notices.
#include "supervisor/modules/module_watch.h"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <functional>
#include <set>
#include <string>

#include "supervisor/modules/module_source.h"
#include "tests/unit/supervisor/test_support.h"

namespace holdfast::supervisor {
namespace {

namespace fs = std::filesystem;
using testing::QuietLog;
using testing::TemporaryFolder;
using Files = std::set<std::string>;

// A watch and everything that it has reported.
class Watching {
 public:
  explicit Watching(const std::vector<fs::path>& directories)
      : watch_(io_, directories,
               {.changed =
                    [this](const Files& files) {
                      ++times_told;
                      most_at_a_time = std::max(most_at_a_time, files.size());
                      told.insert(files.begin(), files.end());
                    },
                .everything_may_have_changed =
                    [this] {
                      ++times_told;
                      everything = true;
                    },
                .watch_again = [directories] { return watch_places(directories); }}) {
    watch_.start();
  }

  ModuleWatch& operator*() { return watch_; }

  // Waits for the condition; false if it does not hold long after it should.
  bool until(const std::function<bool()>& condition) {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      const auto now = std::chrono::steady_clock::now();
      if (now >= give_up || io_.run_one_for(give_up - now) == 0) return condition();
    }
    return true;
  }
  bool is_told(const fs::path& file) {
    return until([&] { return told.contains(file.string()); });
  }
  void run_ready() { io_.poll(); }
  void forget() {
    told.clear();
    everything = false;
    times_told = 0;
  }

  Files told;
  std::size_t times_told = 0;
  std::size_t most_at_a_time = 0;
  bool everything = false;

 private:
  boost::asio::io_context io_;
  ModuleWatch watch_;
};

TEST_CASE("a written file is reported once it is closed and not before") {
  const TemporaryFolder folder;
  Watching watching({folder.path()});
  std::ofstream half(folder / "half-v1.js");
  half << "exports." << std::flush;
  folder.write("whole-v1.js", "exports.x = 1;");
  CHECK(watching.is_told(folder / "whole-v1.js"));
  CHECK(watching.told == Files{folder / "whole-v1.js"});
  half << "x = 1;";
  half.close();
  CHECK(watching.is_told(folder / "half-v1.js"));
  CHECK_FALSE(watching.everything);
}

TEST_CASE("files that are moved in or out or replaced or removed are reported") {
  const TemporaryFolder folder, elsewhere;
  folder.write("out-v1.js", "");
  folder.write("removed-v1.js", "");
  folder.write("replaced-v1.js", "");
  Watching watching({folder.path()});
  fs::rename(elsewhere.write("in.js", ""), folder / "in-v1.js");
  fs::rename(folder / "out-v1.js", elsewhere / "out.js");
  fs::remove(folder / "removed-v1.js");
  fs::create_symlink(elsewhere / "out.js", elsewhere / "link.js");
  fs::rename(elsewhere / "link.js", folder / "replaced-v1.js");
  for (const char* name : {"in-v1.js", "out-v1.js", "removed-v1.js", "replaced-v1.js"}) {
    CHECK(watching.is_told(folder / name));
  }
  CHECK(watching.told.size() == 4);
}

TEST_CASE("changes in one go are reported once") {
  const TemporaryFolder folder;
  Watching watching({folder.path()});
  for (int i = 0; i < 10; ++i) {
    folder.write("a-v1.js", "");
    folder.write("b-v1.js", "");
  }
  CHECK(watching.is_told(folder / "b-v1.js"));
  CHECK(watching.told == Files{folder / "a-v1.js", folder / "b-v1.js"});
  CHECK(watching.times_told == 1);
}

TEST_CASE("reading a file and changes to folders are not reported") {
  const TemporaryFolder folder;
  const auto file = folder.write("read-v1.js", "text");
  Watching watching({folder.path()});
  std::string text;
  std::ifstream(file) >> text;
  fs::create_directory(folder / "folder-v1.js");
  fs::remove(folder / "folder-v1.js");
  folder.write("last-v1.js", "");
  CHECK(watching.is_told(folder / "last-v1.js"));
  CHECK(watching.told == Files{folder / "last-v1.js"});
}

TEST_CASE("files are reported by the paths that the module sources use") {
  const TemporaryFolder folder;
  const fs::path other_name = folder.path() / ".." / folder.path().filename() / ".";
  ModuleSources sources(other_name);
  sources.add_file({"draft", "v1"}, folder.path() / "" / "draft.js");
  Watching watching({other_name, (folder / "draft.js").parent_path()});
  folder.write("my-sum-v1-rc.js", "");
  folder.write("draft.js", "");
  CHECK(watching.is_told((other_name / "my-sum-v1-rc.js").lexically_normal()));
  CHECK(watching.is_told(folder / "draft.js"));
  CHECK(sources.names_for(watching.told) ==
        std::set<ipc::ModuleName>{{"draft", "v1"}, {"my", "sum-v1-rc"}, {"my-sum", "v1-rc"}, {"my-sum-v1", "rc"}});
}

TEST_CASE("files of a directory that is watched under two names are reported under both") {
  const TemporaryFolder folder, elsewhere;
  fs::create_directory_symlink(folder.path(), elsewhere / "link");
  Watching watching({folder.path(), elsewhere / "link", folder.path()});
  folder.write("sum-v1.js", "");
  CHECK(watching.is_told(folder / "sum-v1.js"));
  CHECK(watching.told == Files{folder / "sum-v1.js", elsewhere / "link" / "sum-v1.js"});
}

TEST_CASE("the name of a file is reported unchanged whatever its bytes") {
  const TemporaryFolder folder;
  Watching watching({folder.path()});
  for (const std::string& name : {std::string("a\nb"), std::string("\x1b[2J"), std::string("\xff\xfe"),
                                  std::string(255, 'x'), std::string("...")}) {
    folder.write(name, "");
    CHECK(watching.is_told(folder / name));
  }
}

TEST_CASE("a directory that cannot be watched leaves the others watched") {
  const QuietLog quiet;
  const TemporaryFolder folder;
  const auto file = folder.write("no-directory", "");
  Watching watching({folder / "missing", file, folder.path()});
  folder.write("sum-v1.js", "");
  CHECK(watching.is_told(folder / "sum-v1.js"));
}

TEST_CASE("if a directory is removed or moved away everything in it may have changed and others stay watched") {
  const QuietLog quiet;
  const TemporaryFolder folder, other;
  fs::create_directory(folder / "modules");
  Watching watching({folder / "modules", other.path()});
  SUBCASE("removed") { fs::remove(folder / "modules"); }
  SUBCASE("moved") { fs::rename(folder / "modules", folder / "old"); }
  CHECK(watching.until([&] { return watching.everything; }));
  other.write("sum-v1.js", "");
  CHECK(watching.is_told(other / "sum-v1.js"));
}

TEST_CASE("very many files at once are reported as everything and later ones by name again") {
  const TemporaryFolder folder;
  Watching watching({folder.path()});
  for (int i = 0; i < 1000; ++i) folder.write("flood" + std::to_string(i), "");
  CHECK(watching.until([&] { return watching.everything; }));
  CHECK(watching.times_told == 1);
  CHECK(watching.told.empty());
  folder.write("last-v1.js", "");
  CHECK(watching.is_told(folder / "last-v1.js"));
  CHECK(watching.most_at_a_time <= 128);
}

TEST_CASE("a change to a file is known at once to a caller that asks and is reported once") {
  const TemporaryFolder folder;
  Watching watching({folder.path()});
  CHECK_FALSE((*watching).look());
  for (int i = 0; i < 300; ++i) {
    const auto file = folder.write("sum-v1.js", "exports.x = 1;");
    REQUIRE((*watching).look());
    CHECK_FALSE((*watching).take({folder / "other-v1.js"}));
    REQUIRE((*watching).take({file.string()}));
    CHECK_FALSE((*watching).take({file.string()}));
    CHECK_FALSE((*watching).look());
  }
  CHECK(watching.told.empty());
  folder.write("last-v1.js", "");
  CHECK((*watching).look());
  CHECK(watching.is_told(folder / "last-v1.js"));
  CHECK(watching.told.size() == 1);
}

TEST_CASE("after very many files each one is new once to a caller that asks") {
  const TemporaryFolder folder;
  Watching watching({folder.path()});
  for (int i = 0; i < 1000; ++i) folder.write("flood" + std::to_string(i), "");
  CHECK((*watching).look());
  CHECK((*watching).take({folder / "sum-v1.js"}));
  CHECK_FALSE((*watching).take({folder / "sum-v1.js"}));
  CHECK((*watching).take({folder / "other-v1.js"}));
  CHECK(watching.until([&] { return watching.everything; }));
}

TEST_CASE("a directory that takes the watched one's place is watched from then on") {
  const QuietLog quiet;
  const TemporaryFolder folder;
  const fs::path root = folder.path() / "releases";
  for (const char* name : {"first/modules", "second/modules"}) fs::create_directories(root / name);
  fs::path watched = root / "first/modules";
  std::function<void()> replace;
  SUBCASE("renamed") {
    replace = [&] {
      fs::rename(root / "first/modules", root / "first/old");
      fs::rename(root / "second/modules", root / "first/modules");
    };
  }
  SUBCASE("under a directory that is renamed") {
    replace = [&] {
      fs::rename(root / "first", root / "old");
      fs::rename(root / "second", root / "first");
    };
  }
  SUBCASE("by a link to it") {
    fs::create_directory_symlink("first/modules", root / "current");
    watched = root / "current";
    replace = [&] {
      fs::create_directory_symlink("second/modules", root / "next");
      fs::rename(root / "next", root / "current");
    };
  }
  SUBCASE("by a link on the way to it") {
    fs::create_directory_symlink("first", root / "current");
    watched = root / "current" / "modules";
    replace = [&] {
      fs::create_directory_symlink(root / "second", root / "next");
      fs::rename(root / "next", root / "current");
    };
  }
  SUBCASE("removed, and made anew") {
    replace = [&] {
      fs::remove_all(root / "first/modules");
      fs::create_directory(root / "first/modules");
    };
  }
  Watching watching({watched});
  replace();
  CHECK(watching.until([&] { return watching.everything; }));
  std::ofstream(watched / "sum-v1.js") << "exports.x = 1;";
  CHECK(watching.is_told(watched / "sum-v1.js"));
}

TEST_CASE("a directory that was away for a while is found again when a caller asks") {
  const QuietLog quiet;
  const TemporaryFolder folder;
  const fs::path watched = folder.path() / "modules";
  fs::create_directory(watched);
  // A directory that every user may write to is not watched.
  fs::permissions(folder.path(), fs::perms::all);
  Watching watching({watched});
  fs::rename(watched, folder / "old");
  CHECK((*watching).look());
  CHECK((*watching).take({watched / "sum-v1.js"}));
  CHECK_FALSE((*watching).take({watched / "sum-v1.js"}));
  fs::create_directory(watched);
  CHECK((*watching).look());
  CHECK((*watching).take({watched / "sum-v1.js"}));
  std::ofstream(watched / "sum-v1.js") << "exports.x = 1;";
  CHECK((*watching).look());
  CHECK(watching.until([&] { return watching.everything; }));
}

TEST_CASE("if an entry on the path of a link to modules is replaced everything is read again") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "..1");
  fs::create_directory(folder / "..2");
  fs::create_directory_symlink("..1", folder / "..data");
  Watching watching({folder.path()});
  fs::create_directory_symlink("..2", folder / "..next");
  fs::rename(folder / "..next", folder / "..data");
  CHECK((*watching).look());
  CHECK((*watching).take({folder / "sum-v1.js"}));
}

TEST_CASE("watched paths keep their text") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "modules");
  auto watched = watch_places({folder / "modules", folder / "missing"});
  REQUIRE(watched);
  const auto copy = watched_places(to_text(*watched), UniqueFd());
  CHECK(copy.errors == std::vector<int>{0, ENOENT});
  REQUIRE(copy.places.size() == watched->places.size());
  for (std::size_t i = 0; i < copy.places.size(); ++i) {
    CHECK(copy.places[i].watch == watched->places[i].watch);
    CHECK(copy.places[i].directory == watched->places[i].directory);
    CHECK(copy.places[i].entry == watched->places[i].entry);
  }
}

TEST_CASE("if the kernel lost events everything may have changed") {
  const TemporaryFolder folder;
  std::size_t most_events = 0;
  std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> most_events;
  REQUIRE(most_events > 0);
  Watching watching({folder.path()});
  // Alternates between two files, as the kernel merges equal events in a row.
  for (std::size_t i = 0; i <= most_events / 2; ++i) {
    std::ofstream(folder / "a");
    std::ofstream(folder / "b");
  }
  CHECK(watching.until([&] { return watching.everything; }));
}

TEST_CASE("a watch that awaits events has heard of all that happened before the event loop last looked") {
  const TemporaryFolder folder;
  Watching watching({folder.path()});
  CHECK((*watching).awaits_events());
  folder.write("a-v1.js", "");
  watching.run_ready();
  CHECK_FALSE((*watching).awaits_events());
  CHECK((*watching).look());
  CHECK(watching.is_told(folder / "a-v1.js"));
  CHECK((*watching).awaits_events());
}

}  // namespace
}  // namespace holdfast::supervisor
