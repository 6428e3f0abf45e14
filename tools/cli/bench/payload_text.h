// Payloads and modules as programs have them, in any size and the same in every run.
#pragma once

#include <cstddef>
#include <string>

namespace holdfast::cli::bench {

// An object with a list of records, in exactly so many bytes, as JSON.stringify() writes it; at least 16.
std::string json_of_size(std::size_t size);

// Bytes that look random.
std::string bytes_of_size(std::size_t size);

// A CommonJS module of at least so many bytes and less than a kilobyte more: functions, classes and tables of data, all
// distinct. As of a bundle, the data and an eighth of the rest are used when it is loaded. Its `add` adds two numbers.
std::string module_of_size(std::size_t size);

}  // namespace holdfast::cli::bench
