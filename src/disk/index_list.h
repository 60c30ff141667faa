// SPDX-License-Identifier: Apache-2.0
//
// IndexList: a circular list of small numbers, each at most once; push, erase, rotate in O(1).  The
// links are one array made in the constructor.
//
// Thread-safety: none.
#pragma once

#include <cstdint>
#include <vector>

#include "base/check.h"

namespace fairlead::disk {

class IndexList {
 public:
  explicit IndexList(std::uint32_t capacity) : links_(capacity) {}

  bool empty() const noexcept { return front_ == kNone; }
  bool contains(std::uint32_t index) const noexcept { return links_[index].next != kNone; }
  std::uint32_t front() const noexcept { return front_; }

  void push_back(std::uint32_t index) noexcept {
    FL_CHECK(!contains(index));
    if (front_ == kNone) {
      links_[index] = {index, index};
      front_ = index;
      return;
    }
    const std::uint32_t back = links_[front_].previous;
    links_[index] = {back, front_};
    links_[back].next = index;
    links_[front_].previous = index;
  }

  void erase(std::uint32_t index) noexcept {
    FL_CHECK(contains(index));
    const Link link = links_[index];
    links_[link.previous].next = link.next;
    links_[link.next].previous = link.previous;
    if (front_ == index) front_ = link.next == index ? kNone : link.next;
    links_[index] = {};
  }

  // The front goes to the back.
  void rotate() noexcept { front_ = links_[front_].next; }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct Link {
    std::uint32_t previous = kNone;
    std::uint32_t next = kNone;
  };

  std::vector<Link> links_;
  std::uint32_t front_ = kNone;
};

}  // namespace fairlead::disk
