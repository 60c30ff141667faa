// SPDX-License-Identifier: Apache-2.0
#include "block/image.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>

#include "base/units.h"
#include "disk/sector_index.h"

namespace fairlead::block {

using base::ErrorKind;

namespace {

constexpr const char* kNullPrefix = "null:";
static_assert(Image::kMaxBytes / 512 == disk::SectorIndex::kEndSector,
              "the cache must be able to keep every sector of an image");

std::string absolute(const std::string& path) {
  std::error_code error;
  const auto full = std::filesystem::absolute(path, error);
  return error ? path : full.lexically_normal().string();
}

bool same_time(const timespec& a, const timespec& b) noexcept {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

base::Error wrong_type(const std::string& name) {
  return {ErrorKind::kInvalid,
          "the image " + name + " is neither a regular file nor a block device"};
}

base::Error open_error(int number, const std::string& path) {
  // A folder cannot be opened for direct reads either, but that is not what is wrong with it.
  if (std::error_code error; std::filesystem::is_directory(path, error)) return wrong_type(path);
  // With its folder: who forgot where he is sees it.
  auto error = base::Error::from_errno(number, "open the image " + absolute(path));
  if (number == ENOENT) {
    return std::move(error).advise("make one: dd if=/dev/urandom of=" + path + " bs=1M count=256");
  }
  if (number == EINVAL) {
    return base::Error(ErrorKind::kUnsupported,
                       "open the image " + path + ": its file system has no O_DIRECT")
        .advise("put the image on ext4, xfs or btrfs");
  }
  return error;
}

base::Result<std::uint64_t> null_bytes(const std::string& spec) {
  auto bytes =
      base::parse_bytes(std::string_view(spec).substr(std::string_view(kNullPrefix).size()));
  if (!bytes) return base::fail(std::move(bytes).error().at("image " + spec));
  if (*bytes != 0 && *bytes % 512 == 0 && *bytes <= Image::kMaxBytes) return bytes;
  return base::fail(
      ErrorKind::kInvalid,
      "image " + spec + ": the size must be a positive multiple of 512 bytes, at most 128 PiB");
}

}  // namespace

base::Status Image::check_spec(const std::string& spec) {
  if (spec.empty()) return base::fail(ErrorKind::kInvalid, "the name of the image is empty");
  if (spec.starts_with(kNullPrefix)) {
    FL_TRY([[maybe_unused]] const auto bytes, null_bytes(spec));
  }
  return {};
}

base::Result<Image> Image::open(const std::string& spec) {
  FL_TRY_STATUS(check_spec(spec));
  if (spec.starts_with(kNullPrefix)) return open_null(spec);
  Image image;
  image.name_ = absolute(spec);
  // Non-blocking, so that a FIFO given by mistake is an error and not a wait.
  image.fd_.reset(::open(spec.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!image.fd_) return base::fail(open_error(errno, spec));
  FL_TRY_STATUS(image.measure());
  FL_TRY_STATUS(image.find_alignment());
  return image;
}

base::Result<Image> Image::open_null(const std::string& spec) {
  Image image;
  FL_TRY(image.bytes_, null_bytes(spec));
  image.name_ = spec;
  return image;
}

base::Status Image::measure() {
  if (::fstat(fd(), &seen_) != 0) return base::fail_errno(errno, "stat the image " + name_);
  if (S_ISBLK(seen_.st_mode)) {
    if (::ioctl(fd(), BLKGETSIZE64, &bytes_) != 0) {
      return base::fail_errno(errno, "ask the size of " + name_);
    }
  } else if (S_ISREG(seen_.st_mode)) {
    bytes_ = static_cast<std::uint64_t>(seen_.st_size);
  } else {
    return base::fail(wrong_type(name_));
  }
  if (bytes_ == 0) return base::fail(ErrorKind::kInvalid, "the image " + name_ + " is empty");
  if (bytes_ > kMaxBytes) {
    return base::fail(ErrorKind::kLimit, "the image " + name_ + " has " + std::to_string(bytes_) +
                                             " bytes, at most 128 PiB can be served");
  }
  if (bytes_ % 512 != 0) {
    return base::fail(base::Error(ErrorKind::kInvalid, "the image " + name_ + " has " +
                                                           std::to_string(bytes_) + " bytes")
                          .advise("it must be a whole number of 512-byte sectors; extend or cut "
                                  "it with truncate(1)"));
  }
  return {};
}

// Tries, because what statx reports is newer than the kernels this must run on.
base::Status Image::find_alignment() {
  constexpr std::uint32_t kLargest = 4096;
  const std::unique_ptr<void, decltype(&std::free)> buffer(std::aligned_alloc(kLargest, kLargest),
                                                           &std::free);
  if (!buffer) return base::fail(ErrorKind::kLimit, "no memory to try the image");
  for (const std::uint32_t alignment : {512U, 1024U, 2048U, kLargest}) {
    if (::pread(fd(), buffer.get(), alignment, 0) >= 0) {
      alignment_ = alignment;
      return {};
    }
    if (errno != EINVAL) return base::fail_errno(errno, "read the first sector of " + name_);
  }
  return base::fail(base::Error(ErrorKind::kUnsupported,
                                "read " + name_ + ": its file system refuses direct reads")
                        .advise("put the image on ext4, xfs or btrfs"));
}

ImageChange Image::look() noexcept {
  struct stat now{};
  if (is_null() || ::fstat(fd(), &now) != 0) return ImageChange::kNone;
  const bool resized = now.st_size != seen_.st_size;
  const bool written = !same_time(now.st_mtim, seen_.st_mtim);
  seen_ = now;
  if (resized) return ImageChange::kSize;
  if (written) return ImageChange::kContent;
  struct stat named{};
  const bool found = ::stat(name_.c_str(), &named) == 0;
  const bool other =
      found ? named.st_dev != now.st_dev || named.st_ino != now.st_ino : errno == ENOENT;
  const bool news = other && !replaced_;
  replaced_ = other;
  return news ? ImageChange::kReplaced : ImageChange::kNone;
}

}  // namespace fairlead::block
