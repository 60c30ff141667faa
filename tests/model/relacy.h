// SPDX-License-Identifier: Apache-2.0
//
// Relacy beside the library's code, and what a run under it may have wrong.
//
// Every access of a protocol names its site, an enumerator with an order_of(); so a run can weaken
// the order of one, or break a step of the protocol, without a second copy of the source.  `mutant`
// says which; the default is none.  A program checks one protocol.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <ostream>

// After everything of the library: it redefines new, free, errno and the names of memory orders.
#include <relacy/relacy.hpp>
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno

// Relacy replaces the forms of 1998 only.
inline void operator delete(void* memory, std::size_t) noexcept { ::operator delete(memory); }
inline void operator delete[](void* memory, std::size_t) noexcept { ::operator delete[](memory); }

namespace fairlead::model {

enum class Access : std::uint8_t { kNone, kLoad, kStore, kChange };

struct Mutant {
  int site = -1;  // whose order is weakened, to
  std::memory_order order = std::memory_order::relaxed;
  int wrong = 0;  // a protocol's enumerator of broken steps; 0: none
};

inline constexpr int kMostSites = 64;
inline Mutant mutant;
inline Access accesses[kMostSites];  // what each site was seen to do

// Is this step broken?
template <typename Wrong>
bool broken(Wrong step) {
  return mutant.wrong == static_cast<int>(step);
}

constexpr rl::memory_order relacy_order(std::memory_order order) {
  switch (order) {
    case std::memory_order::relaxed: return rl::mo_relaxed;
    case std::memory_order::consume: return rl::mo_consume;
    case std::memory_order::acquire: return rl::mo_acquire;
    case std::memory_order::release: return rl::mo_release;
    case std::memory_order::acq_rel: return rl::mo_acq_rel;
    case std::memory_order::seq_cst: return rl::mo_seq_cst;
  }
  return rl::mo_seq_cst;
}

// For an access at this site; noted.
template <auto kSite>
rl::memory_order order(Access access) {
  constexpr int kIndex = static_cast<int>(kSite);
  static_assert(kIndex < kMostSites);
  accesses[kIndex] = access;
  return relacy_order(mutant.site == kIndex ? mutant.order : order_of(kSite));
}

// An eventfd.
class Doorbell {
 public:
  void ring() {
    lock_.lock($);
    rung_ = true;
    heard_.notify_one($);
    lock_.unlock($);
  }
  void wait() {
    lock_.lock($);
    while (!rung_) heard_.wait(lock_, $);
    rung_ = false;
    lock_.unlock($);
  }

 private:
  rl::mutex lock_;
  rl::condition_variable heard_;
  bool rung_ = false;
};

}  // namespace fairlead::model
