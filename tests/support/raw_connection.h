// A client without the client library: it sends arbitrary bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/base/unique_fd.h"
#include "ipc/client_messages.h"
#include "ipc/frame.h"

namespace holdfast::test {

class RawConnection {
 public:
  explicit RawConnection(const std::string& socket_path);

  // Sends all bytes, unless the supervisor hangs up first.
  void send(std::string_view bytes);
  // Sends what the socket takes without waiting, and returns how many bytes that was; 0 also if the supervisor has hung
  // up.
  std::size_t send_some(std::string_view bytes);
  int fd() const { return socket_.get(); }
  // Shuts down the sending side.
  void finish_sending();

  enum class Received { nothing, something, end };
  // Waits until bytes arrive, and passes each message that is complete then to `handle`. A message is valid until
  // `handle` returns. `nothing`: the timeout has passed; `end`: the supervisor has closed the connection. Fails the
  // test if the supervisor breaks the protocol.
  Received receive(const std::function<void(const ipc::ServerMessage&)>& handle, std::chrono::milliseconds timeout);

  // Reads until the supervisor closes the connection, and returns the text of its protocolError, or "" if it sent none.
  // Fails the test if the supervisor does not close the connection.
  std::string read_to_end();
  // Whether the supervisor has closed the connection, as far as that is visible without reading.
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

// A frame with one segment that holds these words, header included.
std::string frame(const std::vector<ipc::Word>& words);
// The header of a frame whose segments have these sizes, in words.
std::string frame_header(const std::vector<std::uint32_t>& segment_words);

}  // namespace holdfast::test
