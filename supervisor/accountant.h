// Shares one resource of the supervisor among the users that it is spent for: places for connections, memory for parts
// of frames, for answers that were not read, for calls that are open. Each of these has an Accountant of its own.
//
// The rules
//   - What is spent has an owner: a user, and of that user an account (a connection, a call).
//   - There is a bound for each user and a bound for all. What the first leaves of the second is a reserve: one user
//     cannot use the resource up.
//   - When the resource is short, the user gives way that uses most of it. That is never one that uses less than its
//     share, the whole divided by the users, so a user within its share is not refused for what others use.
//   - Of that user's accounts the one gives way that has made no progress for the longest. Neither a later account nor
//     one that asks for more at once gives way before it.
//
// Pure: no sockets, no clock. An accountant must outlive its members and accounts. Not thread-safe.
//
// `Holder` is what owns an account and can be made to give way. To add to an account and to take from it costs a few
// additions; users are looked through only where the resource is short.
#pragma once

#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "supervisor/ids.h"
#include "supervisor/invariant.h"

namespace holdfast::supervisor {

struct ResourceBounds {
  std::uint64_t total = 0;     // of all users
  std::uint64_t per_user = 0;  // at most `total`
  // An account that uses no more than this is never made to give way: that would gain too little.
  std::uint64_t negligible = 0;
};

template <typename Holder>
class Accountant {
  struct User;

 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  class Account;

  explicit Accountant(const ResourceBounds& bounds) : bounds_(bounds) {}
  ~Accountant() { expect(users_.empty(), "an accountant outlives its members and accounts"); }
  Accountant(const Accountant&) = delete;
  Accountant& operator=(const Accountant&) = delete;

  const ResourceBounds& bounds() const { return bounds_; }
  std::uint64_t used() const { return used_; }

  // A user who may use the resource, for as long as this lives.
  class Member {
   public:
    Member(Accountant& accountant, UserId user) : accountant_(accountant), user_(accountant.user(user)) {
      ++user_.references;
    }
    ~Member() { accountant_.release(user_); }
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;

    UserId user() const { return user_.id; }
    // By all accounts of the user, not only by those that were made of this member.
    std::uint64_t used() const { return user_.used; }

   private:
    friend class Accountant;
    Accountant& accountant_;
    User& user_;
  };

  // What one holder uses, of its user's resources. Gives it back when it ends.
  class Account {
   public:
    Account(const Member& member, Holder& holder)
        : accountant_(member.accountant_), user_(member.user_), holder_(holder) {
      ++user_.references;
    }
    ~Account() {
      use(0, {});
      accountant_.release(user_);
    }
    Account(const Account&) = delete;
    Account& operator=(const Account&) = delete;

    std::uint64_t used() const { return used_; }
    UserId user() const { return user_.id; }

    // From now on it uses so much. One that was negligible and is not any more stands behind all others of its user.
    void use(std::uint64_t amount, TimePoint now) {
      accountant_.used_ += amount - used_;
      user_.used += amount - used_;
      used_ = amount;
      const bool counts = amount > accountant_.bounds_.negligible;
      if (counts == hook_.is_linked()) return;
      if (counts) {
        since_ = now;
        line().push_back(*this);
      } else {
        line().erase(line().iterator_to(*this));
      }
    }

    // All others of its user give way before it.
    void made_progress(TimePoint now) {
      since_ = now;
      if (hook_.is_linked()) line().splice(line().end(), line(), line().iterator_to(*this));
    }

    // While it is at work it gives way to other users only, and after all of its user's accounts that are not. It
    // stands behind the others then and when its work has ended.
    void set_at_work(bool at_work) {
      if (at_work == at_work_) return;
      Line& from = line();
      at_work_ = at_work;
      if (hook_.is_linked()) line().splice(line().end(), from, from.iterator_to(*this));
    }

   private:
    friend class Accountant;
    auto& line() { return at_work_ ? user_.at_work : user_.waiting; }

    Accountant& accountant_;
    User& user_;
    Holder& holder_;
    std::uint64_t used_ = 0;
    TimePoint since_{};  // of its last progress; meaningful while it is linked
    bool at_work_ = false;
    boost::intrusive::list_member_hook<> hook_;
  };

  // What must happen before an account of this member's user may use `amount` more.
  struct Ruling {
    bool granted = false;
    Holder* gives_way = nullptr;  // not granted: ask again when this one uses less; null: refused
  };
  Ruling request(const Member& member, std::uint64_t amount) {
    User& user = member.user_;
    const std::uint64_t wanted = user.used + amount;
    const bool fits_user = wanted <= bounds_.per_user;
    if (fits_user && used_ + amount <= bounds_.total) return {.granted = true};
    if (fits_user) {
      User* const heaviest = heaviest_user();
      if (heaviest != nullptr && heaviest->used > wanted) return {.gives_way = heaviest->first()};
    }
    return {.gives_way = user.waiting.empty() ? nullptr : &user.waiting.front().holder_};
  }

  // Who must give way for what is used already, where that could not be refused: an account of `user`, which uses more
  // than before, or of another; null: nobody.
  Holder* over_bounds(const Account& account) {
    if (account.user_.used > bounds_.per_user) return account.user_.first();
    if (used_ <= bounds_.total) return nullptr;
    User* const heaviest = heaviest_user();
    return heaviest == nullptr ? nullptr : heaviest->first();
  }

  // Those whose accounts have made no progress since `when`, of accounts that are not negligible. A holder may end
  // another one's account when it is let go: `is_overdue` tells then.
  std::vector<Holder*> without_progress_since(TimePoint when) {
    std::vector<Holder*> found;
    for (auto& [id, user] : users_) {
      for (Line* line : {&user.waiting, &user.at_work}) {
        for (const Account& account : *line) {
          // Those that were at work stand behind others with later progress.
          if (account.since_ <= when) found.push_back(&account.holder_);
        }
      }
    }
    return found;
  }

 private:
  using Line = boost::intrusive::list<
      Account, boost::intrusive::member_hook<Account, boost::intrusive::list_member_hook<>, &Account::hook_>>;

  struct User {
    UserId id{};
    std::uint64_t used = 0;
    std::size_t references = 0;  // members and accounts
    // Accounts that are not negligible; in front the one that has made no progress for the longest.
    Line waiting, at_work;

    bool can_give_way() const { return !waiting.empty() || !at_work.empty(); }
    Holder* first() {
      if (!waiting.empty()) return &waiting.front().holder_;
      return at_work.empty() ? nullptr : &at_work.front().holder_;
    }
  };

  User& user(UserId id) {
    User& user = users_[id];
    user.id = id;
    return user;
  }

  void release(User& user) {
    if (--user.references == 0) users_.erase(user.id);
  }

  // Of those that can give way.
  User* heaviest_user() {
    User* heaviest = nullptr;
    for (auto& [id, user] : users_) {
      if (user.can_give_way() && (heaviest == nullptr || user.used > heaviest->used)) heaviest = &user;
    }
    return heaviest;
  }

  const ResourceBounds bounds_;
  std::unordered_map<UserId, User> users_;
  std::uint64_t used_ = 0;
};

}  // namespace holdfast::supervisor
