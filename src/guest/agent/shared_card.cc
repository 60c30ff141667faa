// SPDX-License-Identifier: Apache-2.0
#include "guest/agent/shared_card.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>

#include "base/fd.h"
#include "base/file.h"

namespace fairlead::guest {
namespace {

using base::ErrorKind;

constexpr const char* kCards = "/sys/bus/pci/devices";
constexpr std::size_t kMostNumberBytes = 64;

bool says(const std::string& path, std::string_view wanted) {
  const auto text = base::read_file(path, kMostNumberBytes);
  return text && *text == wanted;
}

// The folder of the first card of the kind; empty: there is none.
std::string find_card() {
  DIR* const all = ::opendir(kCards);
  if (all == nullptr) return {};
  std::string found;
  while (const dirent* const entry = ::readdir(all)) {
    const std::string card = std::string(kCards) + "/" + entry->d_name;
    if (!says(card + "/vendor", "0x1af4\n") || !says(card + "/device", "0x1110\n")) continue;
    found = card;
    break;
  }
  ::closedir(all);
  return found;
}

}  // namespace

base::Result<SharedCard> SharedCard::open() {
  const std::string card = find_card();
  if (card.empty()) return base::fail(ErrorKind::kNotFound, "this guest has no ivshmem card");
  // Else it does not answer to its addresses.
  const base::Fd enable(::open((card + "/enable").c_str(), O_WRONLY | O_CLOEXEC));
  if (!enable) return base::fail_errno(errno, "enable the ivshmem card");
  FL_TRY_STATUS(base::write_all(enable.get(), "1"));
  const std::string path = card + "/resource2";
  const base::Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct stat status{};
  if (!file || ::fstat(file.get(), &status) != 0) return base::fail_errno(errno, "open " + path);
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  void* const at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (at == MAP_FAILED) return base::fail_errno(errno, "map " + path);
  return SharedCard(static_cast<std::byte*>(at), bytes);
}

SharedCard::~SharedCard() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

}  // namespace fairlead::guest
