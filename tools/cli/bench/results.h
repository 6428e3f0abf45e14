// Results of the suites of `holdfast bench`: sections of rows. Every row has a name, the parameters that were varied,
// and the figures. report.h and plots.h format them.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tools/cli/bench/statistics.h"

namespace holdfast::cli::bench {

enum class Unit { count, nanoseconds, bytes, calls_per_second, megabytes_per_second, ratio, none };

// One named value. Keys end in the unit if there is one: elapsed_ns, private_bytes.
struct Value {
  std::string key;
  std::variant<std::monostate, double, std::string> value;  // monostate: it could not be measured
  Unit unit = Unit::none;
};

Value text(std::string key, std::string value);
Value count(std::string key, double value);
Value ratio(std::string key, double value);
Value duration(const std::string& key, nanoseconds value);
Value bytes(const std::string& key, std::optional<double> value);
Value calls_per_second(std::size_t calls, nanoseconds elapsed);
// A megabyte is 1,000,000 bytes.
Value megabytes_per_second(double bytes, nanoseconds elapsed);

struct Row {
  std::string key = {};  // key in the report's object, if the section has none
  std::string what;      // name; rows of the same name form one curve
  std::vector<Value> parameters = {};
  std::optional<Summary> latency = {};
  std::vector<Value> figures = {};
};

// A plot of some of a section's rows.
struct Curves {
  std::string name;  // the file's name without .svg
  std::string title;
  std::string x;  // key of the varied parameter; empty: plot the distribution of latencies
  std::string x_label = {};
  std::string y = "p50_ns";  // key of a figure or of a latency; not used for a distribution
  std::string y_label = "latency (p50)";
};

struct Section {
  std::string key = {};  // key of the array of rows in the report's object; empty: each row has a key of its own
  std::string title;
  std::vector<Row> rows;
  std::vector<Value> figures = {};      // of all rows together
  std::vector<std::string> notes = {};  // sentences: how it was measured, what was left out, and why
  std::vector<Curves> curves = {};
  bool in_tables = true;  // false: it is only in the JSON
};

// The row's value with this key; nullopt if there is none or it is not a number.
std::optional<double> number(const Row& row, const std::string& key);

// A latency's percentiles as values: min_ns, p50_ns, p90_ns, p99_ns, p999_ns, max_ns.
std::vector<Value> percentiles(const Summary& latency);

}  // namespace holdfast::cli::bench
