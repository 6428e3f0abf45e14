// A replacement for pthread_once(3), in effect in every program that this is linked into.
#pragma once

namespace holdfast::worker::crypto {

// Does nothing. A call of it makes the linker include the replacement.
void use_own_once();

}  // namespace holdfast::worker::crypto
