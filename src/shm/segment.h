// SPDX-License-Identifier: Apache-2.0
//
// Segment: an owned mapping of shared memory, created here or received from a peer.
//
// create() makes a memfd, zeroed by the kernel, sized once, then sealed against shrinking, growing
// and further sealing, so that no holder of the descriptor can make the other side fault.
// attach() maps what a peer sent and refuses memory that is not sealed so or has another size.
//
// Thread-safety: a value; the bytes are as shared as their users make them.
// Ownership: unmaps and closes at the end.  Sizes in bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::shm {

class Segment {
 public:
  Segment() = default;
  Segment(Segment&& other) noexcept;
  Segment& operator=(Segment&& other) noexcept;
  ~Segment();

  // `label` shows in /proc/PID/maps as /memfd:label.
  static base::Result<Segment> create(const char* label, std::uint64_t bytes);
  static base::Result<Segment> attach(base::Fd memfd, std::uint64_t expected_bytes);

  // The mapping lives on without its descriptor.
  base::Fd release_descriptor() noexcept { return std::move(memfd_); }

  int fd() const noexcept { return memfd_.get(); }
  std::byte* data() const noexcept { return data_; }
  std::uint64_t size() const noexcept { return size_; }
  explicit operator bool() const noexcept { return data_ != nullptr; }

 private:
  base::Status map(std::uint64_t bytes);
  void unmap() noexcept;

  base::Fd memfd_;
  std::byte* data_ = nullptr;
  std::uint64_t size_ = 0;
};

}  // namespace fairlead::shm
