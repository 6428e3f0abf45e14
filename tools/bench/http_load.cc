// Posts JSON to an HTTP/1.1 server over persistent connections, as fast as the server answers; the counterpart of
// call_load for holdfastd. One thread; each connection has one request open.
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "ipc/base/busy_poll.h"
#include "ipc/base/unique_fd.h"
#include "ipc/client.h"
#include "tools/bench/load.h"

namespace holdfast::load {
namespace {

namespace http = boost::beast::http;

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

UniqueFd connect_to(const std::string& path) {
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof address.sun_path) throw std::runtime_error("the socket's path is too long: " + path);
  path.copy(address.sun_path, path.size());
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) fail("cannot make a socket");
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    fail("cannot connect to " + path);
  }
  return socket;
}

class Connection {
 public:
  explicit Connection(const std::string& path) : socket_(connect_to(path)) {}

  int fd() const { return socket_.get(); }

  // Blocks until the socket has taken the whole request, which is small, so the server reads it at once.
  void begin(std::string_view request) {
    parser_.emplace();
    parser_->eager(true);
    begun_ = Clock::now();
    while (!request.empty()) {
      const ssize_t count = ::send(fd(), request.data(), request.size(), MSG_NOSIGNAL);
      if (count < 0) fail("cannot send");
      request.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  Clock::time_point begun() const { return begun_; }

  // Reads what has arrived; true if anything had.
  bool receive() {
    std::array<char, 16384> data;
    const ssize_t count = ::recv(fd(), data.data(), data.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) return false;
    if (count < 0) fail("cannot receive");
    if (count == 0) throw std::runtime_error("the server closed a connection before it had answered");
    unread_.append(data.data(), static_cast<std::size_t>(count));
    boost::system::error_code error;
    unread_.erase(0, parser_->put(boost::asio::buffer(unread_), error));
    if (error && error != http::error::need_more) {
      throw std::runtime_error(fmt::format("the answer is not HTTP/1.1: {}", error.message()));
    }
    return true;
  }

  bool answered() const { return parser_->is_done(); }

  // The body of a complete answer. Throws if its status is not 200.
  const std::string& answer() const {
    const auto& response = parser_->get();
    if (response.result() != http::status::ok) {
      throw std::runtime_error(
          fmt::format("the status was {}, expected 200: {}", response.result_int(), response.body()));
    }
    return response.body();
  }

 private:
  UniqueFd socket_;
  std::optional<http::response_parser<http::string_body>> parser_;
  std::string unread_;
  Clock::time_point begun_;
};

// Waits until a connection is readable. With a single connection, busy-polls for its answer before it sleeps, as
// Holdfast's client library does (ipc::Client::look_for_answers); the answer may then already have been read.
class Waiter {
 public:
  void wait(const std::vector<std::unique_ptr<Connection>>& open) {
    const auto receive = [&] { return open.front()->receive(); };
    if (open.size() == 1 && busy_poll_until(busy_poll_, busy_poll_.longest(), receive, ipc::let_others_run)) return;
    wanted_.clear();
    for (const auto& connection : open) wanted_.push_back({connection->fd(), POLLIN, 0});
    const auto began = Clock::now();
    if (::poll(wanted_.data(), wanted_.size(), -1) < 0 && errno != EINTR) fail("cannot wait");
    busy_poll_.slept(Clock::now() - began);
  }

 private:
  // The client library's duration, so that neither client wakes up sooner than the other.
  ipc::BusyPoll busy_poll_{ipc::ClientOptions{}.busy_poll};
  std::vector<pollfd> wanted_;
};

void make_calls(const LoadOptions& options, Load& load) {
  std::vector<std::string> requests;
  for (const std::string& target : options.targets) {
    requests.push_back(fmt::format(
        "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", target,
        options.payload.size(), options.payload));
  }
  std::vector<std::unique_ptr<Connection>> open;
  for (std::size_t i = 0; i < options.in_flight; ++i) {
    open.push_back(std::make_unique<Connection>(options.address));
  }
  // Begins the next request on the connection; false if there is none.
  const auto begin_next = [&](Connection& connection) {
    const auto target = load.next();
    if (target) connection.begin(requests[*target]);
    return target.has_value();
  };
  std::erase_if(open, [&](const auto& connection) { return !begin_next(*connection); });
  Waiter waiter;
  while (!open.empty()) {
    waiter.wait(open);
    std::erase_if(open, [&](const auto& connection) {
      if (!connection->answered()) connection->receive();
      if (!connection->answered()) return false;
      load.answered(connection->begun(), connection->answer());
      return !begin_next(*connection);
    });
  }
}

}  // namespace
}  // namespace holdfast::load

int main(int argc, char** argv) {
  using namespace holdfast::load;
  const LoadProgram program = {.description = "Posts JSON to an HTTP/1.1 server on a Unix socket.",
                               .address_help = "the server's socket",
                               .target_name = "PATH",
                               .target_help = "the paths that are posted to, in turn",
                               .options = {}};
  return run(argc, argv, program, make_calls);
}
