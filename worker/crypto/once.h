// A replacement for pthread_once(3), which is in place wherever this is linked.
#pragma once

namespace holdfast::worker::crypto {

// Does nothing but be called, so that the linker brings the replacement along.
void use_own_once();

}  // namespace holdfast::worker::crypto
