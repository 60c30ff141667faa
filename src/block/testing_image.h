// SPDX-License-Identifier: Apache-2.0
//
// For tests: folders on a disk that knows O_DIRECT, images whose every sector says which one it is,
// and waiting for a condition with a deadline.
//
// Thread-safety: free functions; a TestFolder belongs to one thread.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/fd.h"
#include "base/random.h"

namespace fairlead::block {

// Below /var/tmp, because /tmp is often memory.  Removed at the end.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = "/var/tmp/fl-block-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TestFolder() {
    std::error_code error;  // ignored: what is left is small and temporary
    std::filesystem::remove_all(path_, error);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::string& path() const noexcept { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// What sector `sector` of an image made with `seed` holds; no two sectors are alike.
inline void expected_sector(std::uint64_t sector, std::uint64_t seed, std::byte* out) noexcept {
  base::Random random(seed * 0x1000193 + sector);
  for (int word = 0; word < 64; ++word) {
    const std::uint64_t value = word == 0 ? sector : random.next();
    std::memcpy(out + word * 8, &value, sizeof value);
  }
}

inline bool holds_sectors(std::span<const std::byte> bytes, std::uint64_t first,
                          std::uint64_t seed) noexcept {
  std::byte want[512];
  for (std::size_t at = 0; at < bytes.size(); at += 512) {
    expected_sector(first + at / 512, seed, want);
    if (std::memcmp(want, bytes.data() + at, 512) != 0) return false;
  }
  return true;
}

// Writes sectors [first, first + count) of an image; makes the file if there is none.
inline void write_sectors_of(const std::string& path, std::uint64_t first, std::uint64_t count,
                             std::uint64_t seed) {
  const base::Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  std::string bytes(count * 512, '\0');
  for (std::uint64_t i = 0; i < count; ++i) {
    expected_sector(first + i, seed, reinterpret_cast<std::byte*>(bytes.data()) + i * 512);
  }
  const auto offset = static_cast<off_t>(first * 512);
  if (::pwrite(file.get(), bytes.data(), bytes.size(), offset) !=
      static_cast<ssize_t>(bytes.size())) {
    std::abort();
  }
  ::fsync(file.get());
}

inline std::string make_test_image(const std::string& path, std::uint64_t sectors,
                                   std::uint64_t seed = 1) {
  write_sectors_of(path, 0, sectors, seed);
  return path;
}

// True as soon as `condition` holds; false if it does not for `limit_ns`.
template <typename Condition>
bool eventually(Condition&& condition, std::int64_t limit_ns = 20 * base::kNanosPerSecond) {
  const std::int64_t deadline = base::monotonic_ns() + limit_ns;
  while (!condition()) {
    if (base::monotonic_ns() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

}  // namespace fairlead::block
