// What the suites of `holdfast bench` find: sections of rows. Every row has a name, what was varied, and what came of
// it; how that is shown is for report.h and plots.h.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tools/cli/bench/statistics.h"

namespace holdfast::cli::bench {

enum class Unit { count, nanoseconds, bytes, calls_per_second, megabytes_per_second, ratio, none };

// Keys end in the unit where they have one: elapsed_ns, private_bytes.
struct Value {
  std::string key;
  std::variant<std::monostate, double, std::string> value;  // nothing: it could not be had
  Unit unit = Unit::none;
};

Value text(std::string key, std::string value);
Value count(std::string key, double value);
Value ratio(std::string key, double value);
Value duration(const std::string& key, nanoseconds value);
Value bytes(const std::string& key, std::optional<double> value);
Value calls_per_second(std::size_t calls, nanoseconds elapsed);
// Of 1,000,000 bytes.
Value megabytes_per_second(double bytes, nanoseconds elapsed);

struct Row {
  std::string key = {};  // in the report's object, of a section that has none
  std::string what;      // rows of the same name are one curve
  std::vector<Value> parameters = {};
  std::optional<Summary> latency = {};
  std::vector<Value> figures = {};
};

// A plot of some of a section's rows.
struct Curves {
  std::string name;  // of the file
  std::string title;
  std::string x;  // the key of what is varied; empty: how the latencies are distributed
  std::string x_label = {};
  std::string y = "p50_ns";  // a figure's key, or one of a latency; of a distribution it is not used
  std::string y_label = "latency (p50)";
};

struct Section {
  std::string key = {};  // of the array of its rows in the report's object; empty: each row has a key of its own
  std::string title;
  std::vector<Row> rows;
  std::vector<Value> figures = {};      // of all its rows together
  std::vector<std::string> notes = {};  // sentences: how it was measured, what was left out, and why
  std::vector<Curves> curves = {};
  bool in_tables = true;  // else it is for who reads the JSON
};

// Of one of the row's values, by its key; nothing if it has none of this key, or if it is no number.
std::optional<double> number(const Row& row, const std::string& key);

// A latency's percentiles as values: min_ns, p50_ns, p90_ns, p99_ns, p999_ns, max_ns.
std::vector<Value> percentiles(const Summary& latency);

}  // namespace holdfast::cli::bench
