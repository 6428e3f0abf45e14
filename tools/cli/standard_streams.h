// Reading standard input and writing standard output and error.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace holdfast::cli {

// Reads all of standard input. The error can be shown as it is.
tl::expected<std::string, std::string> read_standard_input();

// Writes everything to standard output. It is no failure if the reader has left. On any other failure, prints it on
// standard error and returns false.
bool write_standard_output(std::string_view text);

// Whether standard output still has a reader.
bool standard_output_has_reader();

// Writes to standard error; a failure is ignored, because there is nowhere to report it.
void write_standard_error(std::string_view text);

}  // namespace holdfast::cli
