// A replacement for pthread_once(3), in effect in every program that this is linked into.
#pragma once

namespace holdfast::worker::crypto {

// Does nothing. The linker includes the replacement in a program that calls this function.
void use_own_once();

}  // namespace holdfast::worker::crypto
