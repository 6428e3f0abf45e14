// Why holdfastd did not start, in its own words. Pure.
#pragma once

#include <string>
#include <string_view>

namespace holdfast::cli {

// Of what it printed on standard error before it ended: the last line of level critical without time and level, else
// all that is neither empty nor a word on --help, without "error: ". Fit to print; empty if it said nothing.
std::string reason_of_failed_start(std::string_view errors);

// The layer of the sandbox without which, by such a reason, it did not start; empty: it is for another reason.
std::string layer_of_failed_start(std::string_view reason);

// Of such a reason the words on the layer alone: "CALL: ERROR; ADVICE".
std::string_view message_on_layer(std::string_view reason);

}  // namespace holdfast::cli
