// SPDX-License-Identifier: Apache-2.0
//
// SectorArray: room for a number of sectors, in one allocation aligned to a cache line.  Not
// initialised: pages are taken from the system when first used.
//
// Thread-safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>

namespace fairlead::disk {

class SectorArray {
 public:
  SectorArray(std::uint32_t sectors, std::uint32_t sector_bytes)
      : bytes_(std::uint64_t{sectors} * sector_bytes), sector_bytes_(sector_bytes) {
    if (bytes_ > 0) {
      data_.reset(static_cast<std::byte*>(::operator new[](bytes_, std::align_val_t{kAlignment})));
    }
  }

  std::byte* at(std::uint32_t sector) const noexcept {
    return data_.get() + std::uint64_t{sector} * sector_bytes_;
  }
  void fill(std::uint32_t sector, const std::byte* from) noexcept {
    std::memcpy(at(sector), from, sector_bytes_);
  }
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  static constexpr std::size_t kAlignment = 64;
  struct Free {
    void operator()(std::byte* data) const noexcept {
      ::operator delete[](data, std::align_val_t{kAlignment});
    }
  };

  std::uint64_t bytes_;
  std::uint32_t sector_bytes_;
  std::unique_ptr<std::byte[], Free> data_;
};

}  // namespace fairlead::disk
