#include <doctest/doctest.h>
#include <fmt/format.h>
#include <stdlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>

#include "tools/cli/bench/plots.h"

using namespace holdfast::cli::bench;
using namespace std::chrono_literals;

namespace {

std::string shown(double value) { return fmt::format("{:g}", value); }

Plot plot_of(std::vector<Line> lines, Scale scale = Scale::linear) {
  return {"A title", {"across", scale, shown}, {"up", scale, shown}, std::move(lines)};
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

bool contains(const std::string& text, const std::string& part) { return occurrences(text, part) > 0; }

const Curves kByWorkers{.name = "workers", .title = "By workers", .x = "workers", .x_label = "workers alive"};

Section example_section() {
  return {.key = "workers",
          .title = "WORKERS",
          .rows = {{.what = "hot", .parameters = {count("workers", 1)}, .latency = summarize({30us})},
                   {.what = "hot", .parameters = {count("workers", 1000)}, .latency = summarize({40us})},
                   {.what = "floor", .latency = summarize({10us})}},
          .curves = {kByWorkers}};
}

}  // namespace

TEST_CASE("ticks of a linear axis are round and enclose its values") {
  CHECK(ticks(0, 80, Scale::linear) == std::vector<double>{0, 10, 20, 30, 40, 50, 60, 70, 80});
  CHECK(ticks(3, 7, Scale::linear).front() <= 3);
  CHECK(ticks(3, 7, Scale::linear).back() >= 7);
}

TEST_CASE("ticks of a logarithmic axis are powers of ten, or finer where there are few") {
  CHECK(ticks(1, 1000, Scale::logarithmic) == std::vector<double>{1, 10, 100, 1000});
  CHECK(ticks(16, 90, Scale::logarithmic) == std::vector<double>{10, 20, 50, 100});
  CHECK(ticks(20, 50, Scale::logarithmic) == std::vector<double>{20, 50});
}

TEST_CASE("an axis of one value has two ticks") {
  for (const double value : {1.0, 7.0, 1000.0}) {
    for (const Scale scale : {Scale::linear, Scale::logarithmic}) {
      const auto found = ticks(value, value, scale);
      REQUIRE(found.size() >= 2);
      CHECK(found.front() <= value);
      CHECK(found.back() >= value);
      CHECK(found.front() < found.back());
    }
  }
}

TEST_CASE("a plot has its title, labels, a line for each name and a mark for each point") {
  const std::string svg = to_svg(plot_of({{"one", {{1, 1}, {2, 4}, {3, 9}}}, {"other", {{1, 2}, {3, 2}}}}));
  CHECK(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  CHECK(svg.ends_with("</svg>\n"));
  for (const char* text : {">A title<", ">across<", ">up<", ">one<", ">other<"}) CHECK(contains(svg, text));
  CHECK(occurrences(svg, "<polyline") == 2);
  CHECK(occurrences(svg, "<circle") == 5);
  CHECK_FALSE(contains(svg, "script"));
}

TEST_CASE("names are escaped") {
  CHECK(contains(to_svg(plot_of({{"<a & \"b\">", {{1, 1}}}})), ">&lt;a &amp; &quot;b&quot;&gt;<"));
}

TEST_CASE("points without a place are left out, and a plot without points has empty axes") {
  const double infinite = std::numeric_limits<double>::infinity();
  const std::string svg =
      to_svg(plot_of({{"one", {{0, 1}, {1, -1}, {10, 10}, {5, infinite}, {NAN, 1}}}}, Scale::logarithmic));
  CHECK(occurrences(svg, "<circle") == 1);
  const std::string empty = to_svg(plot_of({}));
  CHECK_FALSE(contains(empty, "nan"));
  CHECK_FALSE(contains(empty, "inf"));
}

TEST_CASE("rows of the same name make one line and a row without the varied key makes a level line") {
  const Plot plot = to_plot(example_section(), kByWorkers);
  REQUIRE(plot.lines.size() == 2);
  CHECK(plot.lines[0].name == "hot");
  CHECK(plot.lines[0].points == decltype(Line::points){{1, 30000}, {1000, 40000}});
  CHECK(plot.lines[1].points == decltype(Line::points){{1, 10000}, {1000, 10000}});
  CHECK(plot.x.scale == Scale::logarithmic);
  CHECK(plot.y.scale == Scale::linear);
  CHECK(plot.y.format(30000) == "30us");
}

TEST_CASE("a distribution shows only percentiles with enough samples") {
  Samples samples;
  for (int i = 1; i <= 20; ++i) samples.emplace_back(i);
  const Plot plot = to_plot({.title = "HOT", .rows = {{.what = "hot", .latency = summarize(samples)}}},
                            {.name = "hot", .title = "Hot", .x = {}});
  REQUIRE(plot.lines.size() == 1);
  CHECK(plot.lines[0].points == decltype(Line::points){{2, 10}, {10, 18}, {20, 20}});
}

TEST_CASE("plots are written into a folder that is made for them") {
  std::string parent = std::filesystem::temp_directory_path() / "holdfast-plots-XXXXXX";
  REQUIRE(::mkdtemp(parent.data()) != nullptr);
  const std::filesystem::path folder = std::filesystem::path(parent) / "plots";
  Section pointless{.title = "NONE", .curves = {{.name = "none", .title = "None", .x = "workers"}}};
  REQUIRE(write_plots({example_section(), pointless}, folder));
  std::ifstream file(folder / "workers.svg");
  const std::string svg{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  CHECK(contains(svg, ">workers alive<"));
  CHECK_FALSE(std::filesystem::exists(folder / "none.svg"));

  const auto refused = write_plots({example_section()}, folder / "workers.svg");
  REQUIRE_FALSE(refused);
  CHECK(contains(refused.error(), "workers.svg"));
  std::filesystem::remove_all(parent);
}
