// SPDX-License-Identifier: Apache-2.0
//
// SharedCard: the memory of this guest's ivshmem card (ivshmem-plain), which the host has mapped as
// a file.  No driver: the kernel maps a PCI card's memory through sysfs.
//
// Thread-safety: none needed after open().  Ownership: the mapping, until the end.
// Errors: kNotFound if there is no such card.
// Source: QEMU, docs/specs/ivshmem-spec.rst (BAR 2); Linux, Documentation/PCI/sysfs-pci.rst.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/result.h"

namespace fairlead::guest {

class SharedCard {
 public:
  static base::Result<SharedCard> open();

  SharedCard(SharedCard&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  SharedCard& operator=(SharedCard&&) = delete;
  ~SharedCard();

  std::byte* data() const noexcept { return data_; }
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  SharedCard(std::byte* data, std::uint64_t bytes) noexcept : data_(data), bytes_(bytes) {}

  std::byte* data_;
  std::uint64_t bytes_;
};

}  // namespace fairlead::guest
