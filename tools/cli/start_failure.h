// Finds in holdfastd's output why it did not start. Pure.
#pragma once

#include <string>
#include <string_view>

namespace holdfast::cli {

// The reason in what holdfastd printed on standard error before it ended: the last line of level critical without its
// time and level; if there is none, all lines that are not empty and do not mention --help, without "error: ". Safe
// to print; empty if holdfastd printed nothing.
std::string reason_of_failed_start(std::string_view errors);

// The layer of the sandbox that, by such a reason, could not be set up; empty if the reason is another.
std::string layer_of_failed_start(std::string_view reason);

// The part of such a reason after the layer's name: "CALL: ERROR; ADVICE".
std::string_view message_on_layer(std::string_view reason);

}  // namespace holdfast::cli
