// Realistic payloads and modules of any size, the same in every run.
#pragma once

#include <cstddef>
#include <string>

namespace holdfast::cli::bench {

// An object with a list of records, as JSON.stringify() writes it, of exactly `size` bytes; at least 16.
std::string json_of_size(std::size_t size);

// `size` bytes that look random.
std::string bytes_of_size(std::size_t size);

// A CommonJS module of at least `size` bytes and less than a kilobyte more: functions, classes and tables of data,
// all distinct. As in a bundle, loading it uses the data and an eighth of the rest. Its `add` adds two numbers.
std::string module_of_size(std::size_t size);

}  // namespace holdfast::cli::bench
