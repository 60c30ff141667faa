// SPDX-License-Identifier: Apache-2.0
#include "relay/forked.h"

#include <pthread.h>

#include <mutex>
#include <utility>
#include <vector>

namespace fairlead::relay {

class NotInheritedOnes {
 public:
  static NotInheritedOnes& all() {
    static auto* const ones = new NotInheritedOnes;  // for forks after main()
    return *ones;
  }

  void add(const NotInherited* one) {
    const std::scoped_lock lock(mutex_);
    ones_.push_back(one);
  }
  void remove(const NotInherited* one) {
    const std::scoped_lock lock(mutex_);
    std::erase(ones_, one);
  }

 private:
  // The lock is held over a fork, so that the child finds the list whole.
  NotInheritedOnes() {
    ::pthread_atfork([] { all().mutex_.lock(); }, [] { all().mutex_.unlock(); },
                     [] {
                       NotInherited::forks.fetch_add(1, std::memory_order_relaxed);
                       for (const NotInherited* one : all().ones_) one->let_go_();
                       all().mutex_.unlock();
                     });
  }

  std::mutex mutex_;
  std::vector<const NotInherited*> ones_;
};

NotInherited::NotInherited(std::function<void()> let_go) : let_go_(std::move(let_go)) {
  NotInheritedOnes::all().add(this);
  forks_ = forks.load(std::memory_order_relaxed);
}

NotInherited::~NotInherited() { NotInheritedOnes::all().remove(this); }

}  // namespace fairlead::relay
