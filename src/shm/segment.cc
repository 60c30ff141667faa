// SPDX-License-Identifier: Apache-2.0
#include "shm/segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

namespace fairlead::shm {

using base::ErrorKind;

namespace {
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
}

Segment::Segment(Segment&& other) noexcept
    : memfd_(std::move(other.memfd_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Segment& Segment::operator=(Segment&& other) noexcept {
  if (this != &other) {
    unmap();
    memfd_ = std::move(other.memfd_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Segment::~Segment() { unmap(); }

base::Result<Segment> Segment::create(const char* label, std::uint64_t bytes) {
  Segment segment;
  segment.memfd_.reset(::memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!segment.memfd_) return base::fail_errno(errno, "create shared memory");
  if (::ftruncate(segment.fd(), static_cast<off_t>(bytes)) != 0) {
    return base::fail_errno(errno, "size shared memory to " + std::to_string(bytes) + " bytes");
  }
  if (::fcntl(segment.fd(), F_ADD_SEALS, kSeals) != 0) {
    return base::fail_errno(errno, "seal shared memory");
  }
  FL_TRY_STATUS(segment.map(bytes));
  return segment;
}

base::Result<Segment> Segment::attach(base::Fd memfd, std::uint64_t expected_bytes) {
  Segment segment;
  segment.memfd_ = std::move(memfd);
  const int seals = ::fcntl(segment.fd(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) {
    return base::fail(ErrorKind::kCorrupt, "the peer's shared memory is not sealed");
  }
  struct stat status{};
  if (::fstat(segment.fd(), &status) != 0) return base::fail_errno(errno, "stat shared memory");
  if (static_cast<std::uint64_t>(status.st_size) != expected_bytes || expected_bytes == 0) {
    return base::fail(ErrorKind::kCorrupt, "the peer's shared memory has " +
                                               std::to_string(status.st_size) + " bytes, not " +
                                               std::to_string(expected_bytes));
  }
  FL_TRY_STATUS(segment.map(expected_bytes));
  return segment;
}

base::Status Segment::map(std::uint64_t bytes) {
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd(), 0);
  if (address == MAP_FAILED) return base::fail_errno(errno, "map shared memory");
  data_ = static_cast<std::byte*>(address);
  size_ = bytes;
  return {};
}

void Segment::unmap() noexcept {
  if (data_ != nullptr) ::munmap(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

}  // namespace fairlead::shm
