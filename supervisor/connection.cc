#include "supervisor/connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <set>
#include <utility>

#include "ipc/packet.h"

namespace holdfast::supervisor {

using boost::system::error_code;

namespace {

// What frames that have only begun to arrive may hold, of all connections together: many peers that send a part of a
// large one each, and no more, must not exhaust the host. Past it, whoever holds most is cut off: who only sends a
// frame of a usual size is not to pay for others. Small parts do not count.
constexpr std::size_t kMaxPartialBytes = std::size_t{512} << 20;
constexpr std::size_t kSmallPartialBytes = std::size_t{64} << 10;
// The supervisor has one thread.
std::size_t all_partial_bytes = 0;
std::set<Connection*> partial_holders;

}  // namespace

Connection::Connection(Turn& turn, Socket socket, ipc::FrameLimits limits)
    : turn_(turn), socket_(std::move(socket)), in_(limits) {
  error_code ignored;  // an error would show at the first read
  socket_.non_blocking(true, ignored);
}

Connection::~Connection() { hold_partial(0); }

void Connection::start() { read(); }

void Connection::close() {
  if (!open_) return;
  while (!out_.empty() && !write_some()) {
  }
  open_ = false;
  error_code ignored;
  socket_.close(ignored);
}

std::optional<uid_t> Connection::read_peer_uid() {
  ucred peer = {};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  return peer.uid;
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
    // It may have said why before it left: the stream's end is found by reading.
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

// Up to the next one that goes along, or with it.
std::size_t Connection::write_with_descriptors(error_code& error) {
  auto data = out_.data();
  const bool is_due = attached_.front().before == sent_bytes_;
  const std::size_t next = is_due ? 1 : 0;
  if (attached_.size() > next) {
    data = data.first(std::min<std::uint64_t>(data.size(), attached_[next].before - sent_bytes_));
  }
  if (!is_due) return socket_.write_some(boost::asio::buffer(data.data(), data.size()), error);
  const auto sent = ipc::send_with_descriptor(socket_.native_handle(), data, attached_.front().descriptor);
  if (!sent) {
    error.assign(sent.error().value(), boost::system::system_category());
    return 0;
  }
  attached_.pop_front();
  return *sent;
}

// Nobody reads from it, so that nobody would come to the end of what it sent: the kernel tells of that by itself.
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
  if (handling_ || !open_) return;
  handle_frames();
  read();
}

void Connection::read() {
  if (!open_ || paused_ || reading_) return;
  reading_ = true;
  const auto space = in_.prepare();
  socket_.async_read_some(boost::asio::buffer(space.data(), space.size()),
                          [self = shared_from_this()](const error_code& error, std::size_t count) {
                            self->reading_ = false;
                            if (!self->open_) return;
                            if (error) return self->end(error.message());
                            self->in_.commit(count);
                            self->handle_frames();
                            self->read();
                          });
}

void Connection::handle_frames() {
  handling_ = true;
  while (open_ && !paused_) {
    const auto frame = in_.next();
    if (!frame) {
      // The stream cannot be understood any more: nothing further is read.
      paused_ = true;
      on_violation(frame.error());
      break;
    }
    if (!frame->has_value()) break;
    on_frame(**frame);
  }
  handling_ = false;
  hold_partial(open_ && in_.buffered_bytes() > kSmallPartialBytes ? in_.buffered_bytes() : 0);
  cut_off_largest_holders();
}

void Connection::hold_partial(std::size_t bytes) {
  all_partial_bytes += bytes - partial_bytes_;
  partial_bytes_ = bytes;
  if (bytes > 0) {
    partial_holders.insert(this);
  } else {
    partial_holders.erase(this);
  }
}

void Connection::cut_off_largest_holders() {
  while (all_partial_bytes > kMaxPartialBytes) {
    Connection& largest =
        **std::max_element(partial_holders.begin(), partial_holders.end(),
                           [](auto* one, auto* other) { return one->partial_bytes_ < other->partial_bytes_; });
    const auto kept = largest.shared_from_this();
    largest.hold_partial(0);
    largest.paused_ = true;
    largest.on_violation({"too much memory is held for frames that have not arrived in full; try again later"});
  }
}

void Connection::end(std::string_view reason) {
  if (!open_) return;
  close();
  on_end(reason);
}

}  // namespace holdfast::supervisor
