// Decoding what a client has received from the supervisor or on a direct line.
#pragma once

#include <utility>

#include "ipc/client_messages.h"
#include "ipc/frame.h"

namespace holdfast::ipc {

// Calls `handle` with each message that has arrived whole, while `goes_on()` is true. At the first violation it calls
// `refuse` with its text; `refuse` must make `goes_on()` false.
template <typename GoesOn, typename Handle, typename Refuse>
void take_messages(FrameReader& in, GoesOn goes_on, Handle handle, Refuse refuse) {
  while (goes_on()) {
    const auto frame = in.next();
    if (!frame) {
      refuse(frame.error().message);
    } else if (!frame->has_value()) {
      break;
    } else if (auto message = decode_server_message(**frame); !message) {
      refuse(message.error().message);
    } else {
      handle(std::move(*message));
    }
  }
}

}  // namespace holdfast::ipc
