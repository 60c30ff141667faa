// SPDX-License-Identifier: Apache-2.0
//
// SlotPool: numbers 0 … count-1 for callers that each need one.  Lock-free while one is free.
//
// Thread-safety: any thread.  Allocates only in the constructor.
#pragma once

#include <atomic>
#include <bit>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

namespace fairlead::block {

class SlotPool {
 public:
  explicit SlotPool(std::uint32_t count)
      : words_((count + 63) / 64), free_(std::make_unique<std::atomic<std::uint64_t>[]>(words_)) {
    for (std::uint32_t slot = 0; slot < count; ++slot) {
      free_[slot / 64].fetch_or(std::uint64_t{1} << slot % 64, std::memory_order_relaxed);
    }
  }

  // Blocks while none is free.
  std::uint32_t take() noexcept {
    std::uint32_t slot = 0;
    if (try_take(slot)) return slot;
    std::unique_lock lock(mutex_);
    waiting_.fetch_add(1, std::memory_order_seq_cst);
    given_back_.wait(lock, [&] { return try_take(slot); });
    waiting_.fetch_sub(1, std::memory_order_relaxed);
    return slot;
  }

  void give_back(std::uint32_t slot) noexcept {
    // seq_cst on both: either we see who waits, or he sees the slot.
    free_[slot / 64].fetch_or(std::uint64_t{1} << slot % 64, std::memory_order_seq_cst);
    if (waiting_.load(std::memory_order_seq_cst) == 0) return;
    const std::lock_guard lock(mutex_);
    given_back_.notify_one();
  }

 private:
  bool try_take(std::uint32_t& slot) noexcept {
    for (std::uint32_t word = 0; word < words_; ++word) {
      std::uint64_t bits = free_[word].load(std::memory_order_seq_cst);
      while (bits != 0) {
        const std::uint64_t lowest = bits & (0 - bits);
        if (free_[word].compare_exchange_weak(bits, bits & ~lowest, std::memory_order_seq_cst)) {
          slot = word * 64 + static_cast<std::uint32_t>(std::countr_zero(lowest));
          return true;
        }
      }
    }
    return false;
  }

  const std::uint32_t words_;
  const std::unique_ptr<std::atomic<std::uint64_t>[]> free_;
  std::atomic<std::uint32_t> waiting_{0};
  std::mutex mutex_;
  std::condition_variable given_back_;
};

}  // namespace fairlead::block
