// One stream socket that speaks frames: reads in bulk, hands out frame after frame, writes once a turn. The base of
// what the supervisor talks to: clients and workers.
#pragma once

#include <sys/types.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ipc/frame.h"
#include "ipc/kept_bytes.h"
#include "ipc/unique_fd.h"
#include "supervisor/accountant.h"
#include "supervisor/closer.h"
#include "supervisor/ids.h"
#include "supervisor/turn.h"

namespace holdfast::supervisor {

class Connection : public Turn::Participant, public std::enable_shared_from_this<Connection> {
 public:
  using Socket = boost::asio::local::stream_protocol::socket;

  // Memory for frames that have arrived in part: many peers that send a part of a large one each, and no more, must not
  // exhaust the host. A connection gives way by gave_way(). It makes progress by a frame that is complete, or by each
  // kFrameProgressBytes of one.
  using FrameAccounts = Accountant<Connection>;
  static constexpr std::size_t kFrameProgressBytes = std::size_t{64} << 10;

  // For a peer that can send descriptors (ipc/descriptor_refusal.h): if it does, it is cut off, and what it sent is
  // closed by `closer`, which must outlive this object. Call before start().
  void refuse_descriptors_by(Closer& closer);

  // Begins to read. Call once the object is owned by a shared_ptr.
  void start();

  // Closes the socket; on_end() is not called. What is unsent is sent first as far as the socket takes it at once.
  void close();
  bool is_open() const { return open_; }

  // Gives up the part of a frame that has arrived, for this reason; nothing further is read.
  void give_up_frame(const std::string& reason);
  // Gives up the parts of frames that have made no progress for longer than `patience`, but those that are paused.
  static void give_up_stalled_frames(FrameAccounts& frames, std::chrono::steady_clock::time_point now,
                                     std::chrono::steady_clock::duration patience);

 protected:
  Connection(Turn& turn, Socket socket, ipc::FrameLimits limits, std::shared_ptr<FrameAccounts> frames, UserId user);
  ~Connection() override;

  // Where messages for the peer are encoded; they leave when the turn ends. A closed connection swallows them.
  ipc::OutputBuffer& output();
  // Sends what the socket takes now, without waiting for the end of the turn. What goes wrong shows again then.
  boost::system::error_code flush();
  std::size_t unsent_bytes() const { return out_.size_bytes(); }
  // Of all that was ever written.
  std::uint64_t sent_bytes() const { return sent_bytes_; }

  // The descriptor goes with the first byte of what is written to output() next (unix(7), SCM_RIGHTS).
  void attach(UniqueFd descriptor);

  // Called from on_frame(): keeps bytes of its frame where they are; null if the frame has not much more than a few.
  ipc::BytesOwner keep_in_place(ipc::Bytes bytes);
  // The same, or a copy.
  ipc::KeptBytes keep(ipc::Bytes bytes);

  void set_limits(ipc::FrameLimits limits) { in_.set_limits(limits); }

  // Back-pressure: no further frame is handed out, and nothing more is read, until resume(). May be called from
  // on_frame().
  void pause() {
    paused_ = true;
    partial_frame_.set_at_work(true);  // that its frame makes no progress is not its peer's doing
  }
  // The same, but a peer that leaves meanwhile is noticed, and what it had sent before is not read any more.
  void pause_until_it_leaves();
  void resume();
  bool paused() const { return paused_; }

  // The frame that is handled took as long as so many small ones.
  void count_as_frames(std::size_t count) { turn_.count_frames(count - 1); }

  // Its frames are handled when a turn ends, and take turns with those of others (Turn::kFramesInTurn); without this
  // they are handled as they come.
  void take_turns() { takes_turns_ = true; }

  // The frame dies when this returns.
  virtual void on_frame(const ipc::Frame& frame) = 0;
  // The peer broke the framing. The connection is still open.
  virtual void on_violation(const ipc::ProtocolViolation& violation) = 0;
  // The part of a frame that this connection holds must go, because memory for such parts is short or because the rest
  // did not come in time. The connection is still open.
  virtual void on_frame_given_up(const std::string& reason) = 0;
  // The stream ended or broke; the connection is closed. Called at most once.
  virtual void on_end(std::string_view reason) = 0;
  // The turn in which something was written has ended, and what the socket would take has left. The place to
  // resume(): nothing else is under way.
  virtual void on_sent() {}

 private:
  void at_end_of_turn() override;
  void handle_more_frames() override;
  // Sends some of what is to be sent.
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
  // Descriptors that go along, and before which byte of all that was ever sent.
  struct Attached {
    std::uint64_t before;
    UniqueFd descriptor;
  };
  std::deque<Attached> attached_;
  std::uint64_t sent_bytes_ = 0;
  const std::shared_ptr<FrameAccounts> frames_;
  FrameAccounts::Member frames_member_;
  FrameAccounts::Account partial_frame_;
  std::size_t partial_bytes_ = 0;  // of a frame that has begun to arrive, at its last progress
  Closer* closer_ = nullptr;       // null: the peer can send no descriptors
  bool open_ = true;
  bool reading_ = false;   // a read is under way
  bool handling_ = false;  // in the loop of handle_frames()
  bool paused_ = false;
  bool takes_turns_ = false;
  bool awaits_turn_ = false;
  bool joined_turn_ = false;    // will write when this turn ends
  bool awaiting_room_ = false;  // the socket is full
  bool awaiting_hang_up_ = false;
};

}  // namespace holdfast::supervisor
