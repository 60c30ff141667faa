// SPDX-License-Identifier: Apache-2.0
//
// Image: what is served.  A regular file or block device, opened read-only with O_DIRECT, or
// "null:SIZE", which has no storage and reads as zeros (for measuring the ring alone).
//
// The sector is 512 bytes; where the storage wants larger aligned reads, `alignment()` says so and
// the reader widens each request.
//
// Thread-safety: constant after open(), except look(), which belongs to one thread.
// Ownership: owns the descriptor.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::block {

// What happened to the file under the service since the last look.
enum class ImageChange : std::uint8_t {
  kNone,
  kContent,   // written by somebody: what is cached is stale
  kSize,      // grown or truncated: the geometry stays, reads past the end fail
  kReplaced,  // the path names another file now; the opened one is still served
};

class Image {
 public:
  // 128 PiB: what the sector numbers of disk::SectorIndex reach.
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 57;

  // `spec`: a path, or null:SIZE with a size as base::parse_bytes takes it.
  static base::Result<Image> open(const std::string& spec);

  // What is wrong with the words alone, before any file is looked for.
  static base::Status check_spec(const std::string& spec);

  bool is_null() const noexcept { return !fd_; }
  int fd() const noexcept { return fd_.get(); }
  const std::string& name() const noexcept { return name_; }
  std::uint64_t sectors() const noexcept { return bytes_ / 512; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  std::uint32_t alignment() const noexcept { return alignment_; }  // bytes, of offset and length

  // Compares the file with how it was at the last look.
  ImageChange look() noexcept;

 private:
  static base::Result<Image> open_null(const std::string& spec);
  base::Status measure();
  base::Status find_alignment();

  base::Fd fd_;
  std::string name_;  // absolute, so that it survives a change of directory
  std::uint64_t bytes_ = 0;
  std::uint32_t alignment_ = 512;
  struct stat seen_{};
  bool replaced_ = false;
};

}  // namespace fairlead::block
