// A client that sends what it likes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/client_messages.h"
#include "ipc/frame.h"
#include "ipc/base/unique_fd.h"

namespace holdfast::test {

class RawConnection {
 public:
  explicit RawConnection(const std::string& socket_path);

  // Sends all of it, unless the supervisor hangs up before.
  void send(std::string_view bytes);
  // Sends what the socket takes without waiting, and returns how much that was; 0 too if the supervisor has hung up.
  std::size_t send_some(std::string_view bytes);
  int fd() const { return socket_.get(); }
  // No more will come.
  void finish_sending();

  enum class Received { nothing, something, end };
  // Waits until something arrives, and hands each message on that is complete then; what is handed on dies with the
  // handler's return. `nothing`: the timeout is over; `end`: the supervisor has closed the connection. Fails the test
  // if the supervisor breaks the protocol.
  Received receive(const std::function<void(const ipc::ServerMessage&)>& handle, std::chrono::milliseconds timeout);

  // How a session ended that the supervisor closed: the text of its protocolError, or nothing if it sent none. Fails
  // the test if it does not close it.
  std::string read_to_end();
  // Whether the supervisor has closed the connection, as far as can be seen without reading.
  bool is_closed() const;

  template <typename Message>
  static std::string frame_of(const Message& message) {
    ipc::OutputBuffer out;
    encode(out, message);
    return std::string(ipc::as_text(out.data()));
  }

 private:
  UniqueFd socket_;
  ipc::FrameReader in_;
};

// A frame with one segment of these words, its header in front.
std::string frame(const std::vector<ipc::Word>& words);
// The header of a frame with these segments' sizes, in words.
std::string frame_header(const std::vector<std::uint32_t>& segment_words);

}  // namespace holdfast::test
