// SPDX-License-Identifier: Apache-2.0
//
// SlotLists: many lists over the same small numbers, each number in one of them at most; push and
// erase in O(1).  The memory is that of the numbers plus that of the lists, not their product.
//
// Thread-safety: none.  The constructor allocates, nothing else does.
#pragma once

#include <cstdint>
#include <vector>

#include "base/check.h"

namespace fairlead::disk {

class SlotLists {
 public:
  SlotLists(std::uint32_t lists, std::uint32_t slots) : ends_(lists), links_(slots) {}

  bool empty(std::uint32_t list) const noexcept { return ends_[list].next == kNone; }
  std::uint32_t front(std::uint32_t list) const noexcept { return ends_[list].next; }

  void push_back(std::uint32_t list, std::uint32_t slot) noexcept {
    Link& ends = ends_[list];
    links_[slot] = {ends.previous, kNone};
    (ends.previous == kNone ? ends : links_[ends.previous]).next = slot;
    ends.previous = slot;
  }

  void erase(std::uint32_t list, std::uint32_t slot) noexcept {
    FL_CHECK(!empty(list));
    const Link link = links_[slot];
    Link& ends = ends_[list];
    (link.previous == kNone ? ends : links_[link.previous]).next = link.next;
    (link.next == kNone ? ends : links_[link.next]).previous = link.previous;
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct Link {
    std::uint32_t previous = kNone;  // of a list: its last
    std::uint32_t next = kNone;      // of a list: its first
  };

  std::vector<Link> ends_;
  std::vector<Link> links_;
};

}  // namespace fairlead::disk
