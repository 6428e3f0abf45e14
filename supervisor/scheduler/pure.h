// Included before every file of this folder: the scheduler takes the time as an argument and knows no libraries that do
// input or output, so that simulations drive it.
#pragma once

#include <chrono>

#pragma GCC poison boost spdlog kj capnp asio
