// The programs print what the documents show.
#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/option_table.h"
#include "supervisor/settings/setting_keys.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/program.h"

namespace holdfast::test {
namespace {

TEST_CASE("docs/security.md shows the tables of system calls as holdfastd prints them") {
  const std::string document = read_file(examples_folder().parent_path() / "security.md");
  for (const char* whose : {"jit", "supervisor", "closer"}) {
    CAPTURE(std::string_view(whose));
    const Finished printed = run({supervisor_program(), "--print-policy", whose});
    CHECK(printed.status == 0);
    CHECK(contains(printed.output, "| exit_group |"));
    CHECK(contains(document, printed.output));
  }
  const Finished strict = run({supervisor_program(), "--print-policy", "strict"});
  CHECK(contains(run({supervisor_program(), "--print-policy", "jit"}).output, strict.output));
}

TEST_CASE("docs/operating.md shows the example of a settings file, with which holdfastd starts") {
  const std::filesystem::path file = examples_folder() / "settings.toml";
  const std::string example = read_file(file);
  CHECK(contains(read_file(examples_folder().parent_path() / "operating.md"), "```toml\n" + example + "```\n"));
  for (const supervisor::SettingKey& key : supervisor::setting_keys()) {
    CHECK_MESSAGE(contains(example, "\n" + std::string(key.name) + " = "), key.name);
  }
  Daemon daemon({.flags = {"--config", file, "--max-workers", "10"}});
  daemon.signal(SIGHUP);
  CHECK(
      daemon.logged("settings reloaded from " + file.string() + "; modules or versions with settings of their own: 3"));
  daemon.stop();
}

// The cells of a row of a Markdown table, as a reader sees them. Empty for a line that is no such row.
std::vector<std::string> cells_of(const std::string& line) {
  if (!line.starts_with("| ")) return {};
  std::vector<std::string> cells;
  std::string cell;
  for (std::size_t i = 1; i < line.size(); ++i) {
    if (line[i] == '|' && line[i - 1] != '\\') {
      const std::size_t begin = std::min(cell.find_first_not_of(' '), cell.size());
      cells.push_back(cell.substr(begin, cell.find_last_not_of(' ') + 1 - begin));
      cell.clear();
    } else if (line[i] != '`' && line[i] != '\\') {
      cell += line[i];
    }
  }
  return cells;
}

struct DocumentedOption {
  std::string default_value;
  std::string bounds;
};

// The rows of all tables of options, by the option's name and value: "--socket PATH".
std::map<std::string, DocumentedOption> documented_options(const std::filesystem::path& file) {
  std::istringstream lines(read_file(file));
  std::map<std::string, DocumentedOption> options;
  bool is_inside = false;
  for (std::string line; std::getline(lines, line);) {
    const auto cells = cells_of(line);
    const bool is_heading = cells.size() == 4 && cells[0] == "option" && cells[1] == "default" && cells[2] == "bounds";
    is_inside = is_heading || (is_inside && cells.size() == 4);
    if (!is_inside || is_heading || cells[0] == "---") continue;
    CHECK_MESSAGE(options.emplace(cells[0], DocumentedOption{cells[1], cells[2]}).second, cells[0] << " has two rows");
  }
  return options;
}

TEST_CASE("docs/operating.md has each option of holdfastd with its default and bounds, and no other") {
  auto documented = documented_options(examples_folder().parent_path() / "operating.md");
  for (const supervisor::OptionRow& row : supervisor::option_table()) {
    const std::string name = std::string(row.name) + (row.value.empty() ? "" : " ") + std::string(row.value);
    CAPTURE(name);
    const auto found = documented.find(name);
    CHECK_MESSAGE(found != documented.end(), "the document lacks it");
    if (found == documented.end()) continue;
    CHECK(found->second.default_value == (row.unset.empty() ? shown_value(row, {}) : std::string(row.unset)));
    CHECK(found->second.bounds == shown_bounds(row));
    documented.erase(found);
  }
  for (const auto& [name, ignored] : documented) FAIL_CHECK("holdfastd has no option " << name);
}

// A fenced block of a Markdown file.
struct Block {
  std::string language;  // after the fence; may be empty
  std::string text;
};

// The blocks between two headings. An empty heading stands for the beginning or the end of the file.
std::vector<Block> blocks_of(const std::filesystem::path& file, const std::string& from, const std::string& to) {
  std::istringstream lines(read_file(file));
  std::vector<Block> blocks;
  bool is_inside = from.empty();
  std::optional<Block> open;
  for (std::string line; std::getline(lines, line);) {
    if (line == from) is_inside = true;
    if (!to.empty() && line == to) break;
    if (line.starts_with("```")) {
      if (open && is_inside) blocks.push_back(*open);
      open = open ? std::nullopt : std::optional(Block{line.substr(3), ""});
    } else if (open) {
      open->text += line + "\n";
    }
  }
  return blocks;
}

// Whether the text matches what the document shows, where "…" matches anything. A result of bytes has no newline at its
// end.
bool is_as_shown(std::string_view text, std::string_view shown) {
  constexpr std::string_view kAnything = "…";
  const std::size_t end = shown.find(kAnything);
  if (end == shown.npos) return text == shown || std::string(text) + "\n" == shown;
  if (!text.starts_with(shown.substr(0, end))) return false;
  const std::string_view rest = shown.substr(end + kAnything.size());
  const std::string_view next = rest.substr(0, std::min(rest.find(kAnything), rest.find('\n') + 1));
  const std::size_t found = text.find(next, end);
  return found != text.npos && is_as_shown(text.substr(found), rest);
}

// Runs lines as a reader would paste them: in a folder that contains docs/, with the programs in PATH.
class Reader {
 public:
  Reader() { std::filesystem::create_directory_symlink(examples_folder().parent_path(), folder_.path() / "docs"); }
  const TemporaryFolder& folder() const { return folder_; }
  // Returns what the lines print on both outputs.
  std::string run(const std::string& lines) const {
    const auto folder_of = [](const std::string& program) {
      return std::filesystem::path(program).parent_path().string();
    };
    const std::string path =
        "export PATH=" + folder_of(command_program()) + ":" + folder_of(supervisor_program()) + ":/usr/bin:/bin";
    return test::run({"/bin/bash", "-e", "-c", "exec 2>&1; " + path + "; cd " + folder_.path().string() + "\n" + lines})
        .output;
  }

 private:
  TemporaryFolder folder_;
};

TEST_CASE("README.md's commands work as they are pasted, and print what it shows") {
  const Reader reader;
  const auto blocks =
      blocks_of(examples_folder().parent_path().parent_path() / "README.md", "## Try it", "## Why not …");
  std::string pasted, last;
  std::size_t shown = 0;
  for (const Block& block : blocks) {
    if (block.language == "sh") {
      // Leaves out the lines that build the programs, which tools/quickstart tests; this test has its own paths.
      std::istringstream lines(block.text);
      std::string kept;
      for (std::string line; std::getline(lines, line);) {
        if (line != "tools/quickstart" && !line.starts_with("export PATH=")) kept += line + "\n";
      }
      pasted += kept;
      last = reader.run(kept);
      CAPTURE(last);
      if (contains(kept, "holdfastd ")) {
        CHECK(contains(last, "\"Hello, world!\"\n"));
        CHECK(contains(last, "hello"));
        CHECK(contains(last, "idle"));
      }
    } else if (block.language == "text") {
      ++shown;
      CHECK(last == block.text);
    }
  }
  CHECK(shown == 2);
  CHECK(contains(pasted, "holdfastd --modules functions"));
}

TEST_CASE("docs/modules.md's commands print what it shows") {
  const Reader reader;
  std::size_t ran = 0;
  for (const Block& block : blocks_of(examples_folder().parent_path() / "modules.md", "", "")) {
    // The first line of a module's block names its file.
    if (block.language == "js" && block.text.starts_with("// ")) {
      const std::string name = block.text.substr(3, block.text.find('\n') - 3);
      reader.folder().write(name, block.text);
      reader.folder().write(name.substr(0, name.rfind('.')) + "-v1.js", block.text);
    }
    if (!block.text.starts_with("$ ") || contains(block.text, "npx ") || contains(block.text, "npm ") ||
        contains(block.text, "meson "))
      continue;
    // The commands of a block run in one shell; below each one stands its output.
    std::istringstream lines(block.text);
    std::string commands, output;
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("$ ")) {
        commands += line.substr(2) + " || true\n";
      } else {
        output += line + "\n";
      }
    }
    if (contains(commands, "& || true")) {
      commands.replace(commands.find("& || true"), 9, "&");
      commands += "kill $!; wait\n";
    }
    ++ran;
    CAPTURE(commands);
    const std::string printed = reader.run(commands);
    CAPTURE(printed);
    CHECK(is_as_shown(printed, output));
  }
  CHECK(ran >= 4);
}

}  // namespace
}  // namespace holdfast::test
