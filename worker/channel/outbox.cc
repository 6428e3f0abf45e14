#include "worker/channel/outbox.h"

#include <unistd.h>

#include "ipc/send_some.h"

namespace holdfast::worker {

void Outbox::send_some() {
  if (ipc::send_some(socket_, buffer_) != 0) ::_exit(0);
}

void Outbox::send_all() {
  if (ipc::send_all(socket_, buffer_) != 0) ::_exit(0);
}

}  // namespace holdfast::worker
