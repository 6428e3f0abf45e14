#include "supervisor/net/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <cerrno>
#include <chrono>
#include <utility>
#include <vector>

#include "ipc/base/descriptor_refusal.h"
#include "ipc/packet.h"

namespace holdfast::supervisor {

using boost::system::error_code;

using std::chrono::steady_clock;

Connection::Connection(Turn& turn, Socket socket, ipc::FrameLimits limits, std::shared_ptr<FrameAccounts> frames,
                       UserId user)
    : turn_(turn),
      socket_(std::move(socket)),
      in_(limits),
      frames_(std::move(frames)),
      frames_member_(*frames_, user),
      partial_frame_(frames_member_, *this) {
  error_code ignored;  // an error would show at the first read
  socket_.non_blocking(true, ignored);
}

Connection::~Connection() { close_socket(); }

void Connection::refuse_descriptors_by(Closer& closer) {
  closer_ = &closer;
  ipc::take_urgent_bytes_in_line(socket_.native_handle());
}

void Connection::start() { read(); }

void Connection::close() {
  if (!open_) return;
  while (!out_.empty() && !write_some()) {
  }
  open_ = false;
  partial_frame_.use(0, {});
  close_socket();
}

void Connection::close_socket() {
  error_code ignored;
  if (closer_ == nullptr || !socket_.is_open()) {
    socket_.close(ignored);
  } else if (UniqueFd socket(socket_.release(ignored)); socket) {
    closer_->close(std::move(socket));
  }
}

ipc::OutputBuffer& Connection::output() {
  if (!joined_turn_) {
    joined_turn_ = true;
    turn_.join(std::static_pointer_cast<Connection>(shared_from_this()));
  }
  return out_;
}

ipc::BytesOwner Connection::keep_in_place(ipc::Bytes bytes) {
  auto memory = in_.take_memory(bytes.size());
  if (!memory) return nullptr;
  return ipc::BytesOwner(std::move(memory));
}

ipc::KeptBytes Connection::keep(ipc::Bytes bytes) {
  auto owner = keep_in_place(bytes);
  return owner ? ipc::KeptBytes(std::move(owner), bytes) : ipc::KeptBytes(bytes);
}

void Connection::at_end_of_turn() {
  joined_turn_ = false;
  if (!open_) return;
  if (const error_code error = flush()) {
    if (paused_) return end(error.message());
    // The peer may have said why before it left, so the end of the stream is found by reading.
    out_ = {};
    attached_.clear();
    return;
  }
  on_sent();
}

error_code Connection::flush() {
  while (!out_.empty() && !awaiting_room_) {
    const error_code error = write_some();
    if (error == boost::asio::error::would_block) {
      awaiting_room_ = true;
      socket_.async_wait(Socket::wait_write, [self = shared_from_this()](const error_code& failed) {
        self->awaiting_room_ = false;
        if (!failed) self->output();  // to write when this turn ends
      });
      break;
    }
    if (error) return error;
  }
  return {};
}

void Connection::attach(UniqueFd descriptor) {
  attached_.push_back({sent_bytes_ + output().size_bytes(), std::move(descriptor)});
}

error_code Connection::write_some() {
  error_code error;
  std::size_t count = 0;
  if (!attached_.empty()) {
    count = write_with_descriptors(error);
  } else if (const auto [first, second] = out_.first_pieces(); second.empty()) {
    count = socket_.write_some(boost::asio::buffer(first.data(), first.size()), error);
  } else {
    const std::array pieces = {boost::asio::const_buffer(first.data(), first.size()),
                               boost::asio::const_buffer(second.data(), second.size())};
    count = socket_.write_some(pieces, error);
  }
  out_.consume(count);
  sent_bytes_ += count;
  return error;
}

// Writes up to the next byte that a descriptor goes with. If that is the first byte, sends the descriptor with it.
std::size_t Connection::write_with_descriptors(error_code& error) {
  auto data = out_.data();
  const bool is_due = attached_.front().before == sent_bytes_;
  const std::size_t next = is_due ? 1 : 0;
  if (attached_.size() > next) {
    data = data.first(std::min<std::uint64_t>(data.size(), attached_[next].before - sent_bytes_));
  }
  if (!is_due) return socket_.write_some(boost::asio::buffer(data.data(), data.size()), error);
  const auto sent = ipc::send_with_descriptor(BorrowedFd(socket_.native_handle()), data, attached_.front().descriptor);
  if (!sent) {
    error.assign(sent.error().value(), boost::system::system_category());
    return 0;
  }
  attached_.pop_front();
  return *sent;
}

// While paused, nothing is read, so the end of the stream would not be noticed. Wait for the kernel's hang-up event.
void Connection::pause_until_it_leaves() {
  pause();
  if (!open_ || std::exchange(awaiting_hang_up_, true)) return;
  socket_.async_wait(Socket::wait_error, [self = shared_from_this()](const error_code& error) {
    self->awaiting_hang_up_ = false;
    if (error || !self->open_) return;
    if (self->paused_) self->end("hung up");
  });
}

void Connection::resume() {
  if (!paused_) return;
  paused_ = false;
  partial_frame_.set_at_work(false);
  // While paused, its peer was not to blame that its frame made no progress.
  if (partial_frame_.used() > 0) partial_frame_.made_progress(steady_clock::now());
  if (handling_ || !open_) return;
  take_frames();
  read();
}

void Connection::read() {
  if (!open_ || paused_ || reading_ || awaits_turn_) return;
  reading_ = true;
  if (closer_ != nullptr) return look_and_read();
  const auto space = in_.prepare();
  socket_.async_read_some(boost::asio::buffer(space.data(), space.size()),
                          [self = shared_from_this()](const error_code& error, std::size_t count) {
                            self->reading_ = false;
                            if (!self->open_) return;
                            if (error) return self->end(error.message());
                            self->in_.commit(count);
                            self->take_frames();
                            self->read();
                          });
}

void Connection::look_and_read() {
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const error_code& failed) {
    self->reading_ = false;
    if (!self->open_) return;
    if (failed) return self->end(failed.message());
    const auto count = ipc::receive_without_descriptors(self->socket_.native_handle(), self->in_.prepare());
    if (!count && count.error() == std::errc::operation_not_permitted) {
      self->paused_ = true;
      return self->on_violation({"it sent a file descriptor, which is not allowed"});
    }
    const bool is_interrupted = !count && (count.error().value() == EAGAIN || count.error().value() == EINTR);
    if (!count && !is_interrupted) return self->end(count.error().message());
    if (count && *count == 0) return self->end("End of file");
    self->in_.commit(count.value_or(0));
    self->take_frames();
    self->read();
  });
}

void Connection::take_frames() {
  if (!takes_turns_) return handle_frames();
  wait_for_turn();
}

void Connection::wait_for_turn() {
  if (std::exchange(awaits_turn_, true)) return;
  turn_.wait_for_frames(partial_frame_.user(), shared_from_this());
}

void Connection::handle_more_frames() {
  awaits_turn_ = false;
  if (!open_) return;
  handle_frames();
  read();
}

// Frames that cannot be handled in this turn wait for the next one, and so do the frames behind them.
void Connection::handle_frames() {
  handling_ = true;
  bool frames_were_complete = false;
  for (std::size_t handled = 0; open_ && !paused_; ++handled) {
    if (takes_turns_ && (handled == Turn::kFramesAtATime || !turn_.has_room_for_frame())) {
      wait_for_turn();
      break;
    }
    const auto frame = in_.next();
    if (!frame) {
      // The stream cannot be understood any more: nothing further is read.
      paused_ = true;
      on_violation(frame.error());
      break;
    }
    if (!frame->has_value()) break;
    frames_were_complete = true;
    if (takes_turns_) turn_.count_frames(1);
    on_frame(**frame);
  }
  handling_ = false;
  account_for_partial_frame(frames_were_complete);
}

void Connection::account_for_partial_frame(bool frames_were_complete) {
  const std::size_t bytes = open_ ? in_.buffered_bytes() : 0;
  if (bytes == 0 && partial_frame_.used() == 0) return;
  const auto now = steady_clock::now();
  const bool is_another = frames_were_complete || partial_frame_.used() == 0;
  partial_frame_.use(bytes, now);
  if (is_another || bytes >= partial_bytes_ + kFrameProgressBytes) {
    partial_bytes_ = bytes;
    partial_frame_.made_progress(now);
  }
  while (Connection* holder = frames_->over_bounds(partial_frame_)) {
    holder->give_up_frame("memory for incomplete frames is short; send frames in full");
    if (!open_) return;
  }
}

void Connection::give_up_frame(const std::string& reason) {
  const auto kept = shared_from_this();
  partial_frame_.use(0, {});
  paused_ = true;
  on_frame_given_up(reason);
}

void Connection::give_up_stalled_frames(FrameAccounts& frames, steady_clock::time_point now,
                                        steady_clock::duration patience) {
  std::vector<std::shared_ptr<Connection>> stalled;
  for (Connection* connection : frames.without_progress_since(now - patience)) {
    stalled.push_back(std::static_pointer_cast<Connection>(connection->shared_from_this()));
  }
  for (const auto& connection : stalled) {
    if (!connection->open_) continue;
    if (connection->paused_ || connection->awaits_turn_) {
      connection->partial_frame_.made_progress(now);
      continue;
    }
    connection->give_up_frame("the rest of a frame did not come in time; send frames in full");
  }
}

void Connection::end(std::string_view reason) {
  if (!open_) return;
  close();
  on_end(reason);
}

}  // namespace holdfast::supervisor
