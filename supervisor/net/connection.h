// A stream socket that carries frames. It reads in bulk, hands out one frame after the other, and writes once in each
// turn of the event loop. The base of the supervisor's connections to clients and workers.
#pragma once

#include <sys/types.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ipc/base/unique_fd.h"
#include "ipc/frame.h"
#include "ipc/kept_bytes.h"
#include "supervisor/net/closer.h"
#include "supervisor/net/turn.h"
#include "supervisor/scheduler/ids.h"
#include "supervisor/shares/accountant.h"

namespace holdfast::supervisor {

class Connection : public Turn::Participant, public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  // Bounds the memory for frames that have arrived in part: many peers that each send only a part of a large frame
  // must not exhaust the host. A connection that must give way loses its part by give_up_frame(). It makes progress
  // when a frame is complete, and by each kFrameProgressBytes of a frame.
  using FrameAccounts = Accountant<Connection>;
  static constexpr std::size_t kFrameProgressBytes = std::size_t{64} << 10;

  // For a peer that can send descriptors (ipc/base/descriptor_refusal.h). If the peer sends one, on_violation() is
  // called. When the connection is closed, `closer`, which must outlive this object, closes the socket and what the
  // peer sent. Call before start().
  void refuse_descriptors_by(Closer& closer);

  // Begins to read. Call once the object is owned by a shared_ptr.
  void start();

  // Closes the socket; on_end() is not called. Sends unsent bytes first, as far as the socket takes them at once.
  void close();
  bool is_open() const { return open_; }

  // Gives up the part of a frame that has arrived, for this reason: calls on_frame_given_up(), and reads nothing
  // further.
  void give_up_frame(const std::string& reason);
  // Gives up the parts of frames that have made no progress for longer than `patience`, except on connections that
  // are paused or that wait for their frames to be handled.
  static void give_up_stalled_frames(FrameAccounts& frames, std::chrono::steady_clock::time_point now,
                                     std::chrono::steady_clock::duration patience);

 protected:
  Connection(Turn& turn, Socket socket, ipc::FrameLimits limits, std::shared_ptr<FrameAccounts> frames, UserId user);
  ~Connection() override;

  // Messages for the peer are encoded here. They are sent at the end of the turn. A closed connection drops them.
  ipc::OutputBuffer& output();
  // Sends what the socket takes now, without waiting for the end of the turn. An error shows again at the end of the
  // turn.
  boost::system::error_code flush();
  std::size_t unsent_bytes() const { return out_.size_bytes(); }
  // Counts all bytes ever sent.
  std::uint64_t sent_bytes() const { return sent_bytes_; }

  // Sends the descriptor with the first byte of what is written to output() next (unix(7), SCM_RIGHTS).
  void attach(UniqueFd descriptor);

  // Called from on_frame(): keeps `bytes`, a part of the frame, where they are, and returns the owner of that memory.
  // Null: the bytes are too small a part of the memory.
  ipc::BytesOwner keep_in_place(ipc::Bytes bytes);
  // Called from on_frame(): keeps `bytes`, a part of the frame, where they are, or copies them if they are too small a
  // part of the memory.
  ipc::KeptBytes keep(ipc::Bytes bytes);

  void set_limits(ipc::FrameLimits limits) { in_.set_limits(limits); }

  // Back-pressure: hands out no further frame and reads nothing more until resume(). May be called from on_frame().
  void pause() {
    paused_ = true;
    partial_frame_.set_at_work(true);  // its peer is not to blame when its frame makes no progress
  }
  // Pauses until resume(), as pause() does. If the peer leaves before that, the connection ends (on_end()), and what
  // the peer had sent is not read.
  void pause_until_it_leaves();
  void resume();
  bool paused() const { return paused_; }

  // The frame that is being handled took as long as `count` small ones.
  void count_as_frames(std::size_t count) { turn_.count_frames(count - 1); }

  // From now on, frames are handled at the end of a turn, in round-robin order with those of other connections
  // (Turn::kFramesInTurn). Without this they are handled as they come.
  void take_turns() { takes_turns_ = true; }

  // The frame is valid until this returns.
  virtual void on_frame(const ipc::Frame& frame) = 0;
  // The peer broke the framing. The connection is still open.
  virtual void on_violation(const ipc::ProtocolViolation& violation) = 0;
  // The connection must drop the part of a frame that it holds, because memory for such parts is short or because the
  // rest did not come in time. The connection is still open.
  virtual void on_frame_given_up(const std::string& reason) = 0;
  // The stream ended or broke; the connection is closed. Called at most once.
  virtual void on_end(std::string_view reason) = 0;
  // Called at the end of each turn in which something was written, after what the socket takes was sent. resume() may
  // be called here, because nothing else is under way.
  virtual void on_sent() {}

 private:
  void at_end_of_turn() override;
  void handle_more_frames() override;
  // Sends a part of the output.
  boost::system::error_code write_some();
  std::size_t write_with_descriptors(boost::system::error_code& error);
  void read();
  void look_and_read();
  void close_socket();
  void take_frames();
  void wait_for_turn();
  void handle_frames();
  void account_for_partial_frame(bool frames_were_complete);
  void end(std::string_view reason);

  Turn& turn_;
  Socket socket_;
  ipc::FrameReader in_;
  ipc::OutputBuffer out_;
  // A descriptor to send, and the position of the byte that it goes with, counted from the first byte ever sent.
  struct Attached {
    std::uint64_t before;
    UniqueFd descriptor;
  };
  std::deque<Attached> attached_;
  std::uint64_t sent_bytes_ = 0;
  const std::shared_ptr<FrameAccounts> frames_;
  FrameAccounts::Member frames_member_;
  FrameAccounts::Account partial_frame_;
  std::size_t partial_bytes_ = 0;  // of an incomplete frame, at its last progress
  Closer* closer_ = nullptr;       // null: the peer can send no descriptors
  bool open_ = true;
  bool reading_ = false;   // a read is under way
  bool handling_ = false;  // in the loop of handle_frames()
  bool paused_ = false;
  bool takes_turns_ = false;
  bool awaits_turn_ = false;
  bool joined_turn_ = false;    // will write at the end of this turn
  bool awaiting_room_ = false;  // the socket is full
  bool awaiting_hang_up_ = false;
};

}  // namespace holdfast::supervisor
