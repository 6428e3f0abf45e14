// Shares one resource of the supervisor among the users for whom it is spent: places for connections, memory for
// partial frames, for unread answers, for open calls. Each resource has an Accountant of its own.
//
// The rules
//   - What is spent has an owner: an account (of a connection or a call), which belongs to a user.
//   - There is a bound for each user and a bound for all users together. The difference is a reserve: one user cannot
//     use the resource up.
//   - When the resource is short, the user that uses most of it gives way. That is never a user who uses less than its
//     share, which is the whole divided by the number of users. So a user within its share is not refused because of
//     what others use.
//   - Of that user's accounts, the one gives way that has made no progress for the longest time. Later accounts, and
//     accounts that ask for more at once, do not give way before it.
//
// Pure: no sockets, no clock. Not thread-safe. An accountant must outlive its members and accounts.
//
// `Holder` is the type of what owns an account and can be made to give way. Adding to an account and taking from it
// costs a few additions; the users are looked through only when the resource is short.
#pragma once

#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ipc/base/invariant.h"
#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

struct ResourceBounds {
  std::uint64_t total = 0;     // for all users together
  std::uint64_t per_user = 0;  // at most `total`
  // An account that uses no more than this is never made to give way: too little would be gained.
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

  // A user's membership: while it exists, the user's accounts can be opened and its use is known.
  class Member {
   public:
    Member(Accountant& accountant, UserId user) : accountant_(accountant), user_(accountant.user(user)) {
      ++user_.references;
    }
    ~Member() { accountant_.release(user_); }
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;

    UserId user() const { return user_.id; }
    // What all accounts of the user use, also those opened with other Members of the user.
    std::uint64_t used() const { return user_.used; }

   private:
    friend class Accountant;
    Accountant& accountant_;
    User& user_;
  };

  // What one holder uses, charged to its user. Gives everything back when it is destroyed.
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

    // Sets what the account uses. An account that was negligible and no longer is goes behind all others of its user.
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

    // Notes progress at `now`: all other accounts of its user give way before this one.
    void made_progress(TimePoint now) {
      since_ = now;
      if (hook_.is_linked()) line().splice(line().end(), line(), line().iterator_to(*this));
    }

    // An account that is at work gives way only to other users, and only after all accounts of its user that are not at
    // work. Each change puts it behind the others.
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
    TimePoint since_{};  // its last progress; meaningful while it is linked
    bool at_work_ = false;
    boost::intrusive::list_member_hook<> hook_;
  };

  // What must happen before an account of this member's user may use `amount` more. Changes nothing.
  struct Ruling {
    bool granted = false;
    Holder* gives_way = nullptr;  // if not granted: make it use less, then ask again; null: refused
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

  // The holder that must give way because of an account whose use has grown and could not be refused: one of the same
  // user or of another. Null: none.
  Holder* over_bounds(const Account& account) {
    if (account.user_.used > bounds_.per_user) return account.user_.first();
    if (used_ <= bounds_.total) return nullptr;
    User* const heaviest = heaviest_user();
    return heaviest == nullptr ? nullptr : heaviest->first();
  }

  // The holders whose non-negligible accounts have made no progress since `when`. Before letting go of one, check that
  // it still exists: letting go of another may have ended it.
  std::vector<Holder*> without_progress_since(TimePoint when) {
    std::vector<Holder*> found;
    for (auto& [id, user] : users_) {
      for (Line* line : {&user.waiting, &user.at_work}) {
        for (const Account& account : *line) {
          // The list is not sorted: accounts that were at work stand behind others with later progress.
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
    std::size_t references = 0;  // Members and Accounts
    // Accounts that are not negligible; the first gives way first.
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

  // The user that uses most, of those that have an account that can give way; null: none has.
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
