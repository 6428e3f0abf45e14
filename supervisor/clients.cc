#include "supervisor/clients.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "ipc/base/units.h"

namespace holdfast::supervisor {
namespace {

using std::chrono::steady_clock;

// A client that has connected and does not say hello holds a descriptor and a place that other clients could have.
constexpr std::chrono::seconds kHelloPatience{10};

}  // namespace

Clients::Clients(Turn& turn, ClientRequests& requests, std::shared_ptr<ClientAccounts> accounts, Closer* closer)
    : turn_(turn), requests_(requests), accounts_(std::move(accounts)), closer_(closer) {}

void Clients::add(Connection::Socket socket, std::function<void()> left) {
  auto session = std::make_shared<ClientSession>(ClientId{++last_id_}, turn_, std::move(socket), requests_, accounts_);
  if (closer_ != nullptr) session->refuse_descriptors_by(*closer_);
  for (;;) {
    const auto ruling = accounts_->places.request(session->places(), 1);
    if (ruling.granted) break;
    if (ruling.gives_way == nullptr) {
      return session->turn_away(
          fmt::format("too many connections: {} in all, {} of this user, none of which is idle; try again later",
                      accounts_->places.used(), session->places().used()));
    }
    const auto kept = ruling.gives_way->shared_from_this();
    ruling.gives_way->let_go(
        fmt::format("its user has {} connections and this one was idle for the longest; a new client needs its place",
                    ruling.gives_way->places().used()));
  }
  session->take_place();
  newcomers_.emplace_back(steady_clock::now() + kHelloPatience, session);
  turn_.ensure_end();
  clients_.emplace(session.get(), Client{session, std::move(left)});
  by_id_.emplace(session->id(), session.get());
  session->start();
}

Clients::Client Clients::remove(ClientSession& client) {
  const auto found = clients_.find(&client);
  if (found == clients_.end()) return {};
  Client gone = std::move(found->second);
  clients_.erase(found);
  by_id_.erase(client.id());
  return gone;
}

void Clients::close_all() {
  const auto clients = std::exchange(clients_, {});
  by_id_.clear();
  for (const auto& [session, client] : clients) session->close();
}

ClientSession* Clients::find(ClientId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

bool Clients::all_sent() const {
  return std::all_of(clients_.begin(), clients_.end(),
                     [](const auto& entry) { return entry.second.session->all_sent(); });
}

void Clients::let_go_of_stalled(TimePoint now) {
  Connection::give_up_stalled_frames(accounts_->frames, now, ClientAccounts::kFramePatience);
  std::vector<std::shared_ptr<Connection>> silent;
  for (ClientSession* client : accounts_->unread.without_progress_since(now - ClientAccounts::kMuchUnreadPatience)) {
    if (client->has_given_up_reading(now)) silent.push_back(client->shared_from_this());
  }
  for (const auto& connection : silent) {
    auto& client = static_cast<ClientSession&>(*connection);
    if (!client.is_open()) continue;
    client.let_go(fmt::format(
        "it left {} of answers unread and read none of them for {}", ipc::format_size(client.unread_bytes()),
        ipc::format_duration(client.unread_bytes() > ClientAccounts::kMuchUnread ? ClientAccounts::kMuchUnreadPatience
                                                                                 : ClientAccounts::kUnreadPatience)));
  }
}

void Clients::tick(TimePoint now) {
  for (; !newcomers_.empty(); newcomers_.pop_front()) {
    const auto session = newcomers_.front().second.lock();
    if (!session || session->greeted()) continue;
    if (newcomers_.front().first > now) return;
    session->cut_off("no hello came within 10 seconds");
  }
}

std::optional<Clients::TimePoint> Clients::next_wakeup() const {
  if (newcomers_.empty()) return std::nullopt;
  return newcomers_.front().first;
}

}  // namespace holdfast::supervisor
