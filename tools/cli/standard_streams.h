// Standard input and output, with their errors told.
#pragma once

#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace holdfast::cli {

// All of standard input.
tl::expected<std::string, std::string> read_standard_input();

// Writes everything to standard output. A reader that has left is no error: who does not read on does not care. Any
// other failure is told on standard error; false then.
bool write_standard_output(std::string_view text);

// Whether what is written to standard output can still be read by somebody.
bool standard_output_has_reader();

// To standard error. Nobody can be told if that fails.
void write_standard_error(std::string_view text);

}  // namespace holdfast::cli
