// SPDX-License-Identifier: Apache-2.0
#include "relay/registry.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/quote.h"
#include "relay/presence.h"

namespace fairlead::relay {

using base::ErrorKind;

namespace {

constexpr std::size_t kLongestLine = 128;

struct Entry {
  long pid = 0;
  int fd = -1;
  std::uint64_t bytes = 0;
  ChannelId id{};
};

std::string folder_of(const daemon::RuntimeDir& folder) { return folder.path() + "/relay"; }

std::string line_of(const Entry& entry) {
  std::string line = fmt::format("{} {} {} ", entry.pid, entry.fd, entry.bytes);
  for (const std::uint8_t byte : entry.id) line += fmt::format("{:02x}", byte);
  return line + "\n";
}

// What line_of() gives, and nothing else.
base::Result<Entry> parse(const std::string& line, const std::string& path) {
  Entry entry;
  int digits = 0;
  if (std::sscanf(line.c_str(), "%ld %d %" SCNu64 " %n", &entry.pid, &entry.fd, &entry.bytes,
                  &digits) == 3 &&
      line.size() >= static_cast<std::size_t>(digits) + 2 * entry.id.size()) {
    for (std::size_t i = 0; i < entry.id.size(); ++i) {
      unsigned byte = 0;
      std::sscanf(line.c_str() + digits + 2 * i, "%2x", &byte);
      entry.id[i] = static_cast<std::uint8_t>(byte);
    }
    if (entry.pid > 0 && entry.fd >= 0 && line_of(entry) == line) return entry;
  }
  return base::fail(base::Error(ErrorKind::kCorrupt, path + " does not announce a relay channel")
                        .advise("remove it"));
}

base::Result<Entry> read_entry(const std::string& path) {
  FL_TRY(const std::string line, base::read_file(path, kLongestLine));
  return parse(line, path);
}

base::Result<base::Fd> open_memory(const Entry& entry) {
  const std::string path = fmt::format("/proc/{}/fd/{}", entry.pid, entry.fd);
  base::Fd memory(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));
  if (!memory) return base::fail_errno(errno, "open the relay channel at " + path);
  return memory;
}

// Whether the entry leads to the memory that it names.
bool lives(const Entry& entry) {
  auto memory = open_memory(entry);
  if (!memory) return memory.error().kind() == ErrorKind::kDenied;  // whoever may look knows
  if (!is_taken(*memory, Side::kProducer)) return false;
  const auto segment = shm::Segment::attach(std::move(*memory), entry.bytes);
  if (!segment) return false;
  const auto map = map_channel(segment->data(), segment->size());
  return map && map->id() == entry.id;
}

// Announcing and clearing up are done by one at a time.
base::Result<base::Fd> lock_folder(const std::string& path) {
  base::Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!folder || ::flock(folder.get(), LOCK_EX) != 0) {
    return base::fail_errno(errno, "lock the folder " + path);
  }
  return folder;
}

base::Result<base::Fd> make_and_lock_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return base::fail_errno(errno, "make the folder " + path);
  }
  return lock_folder(path);
}

// With the folder locked.  Under a name that no channel has, then renamed: what a process that was
// killed between the two has left, the next one of that name overwrites.
base::Status write_entry(const std::string& folder, const std::string& name,
                         const std::string& line) {
  const std::string draft = folder + "/." + name;
  const std::string path = folder + "/" + name;
  const base::Fd file(
      ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return base::fail_errno(errno, "create " + draft);
  auto written = base::write_all(file.get(), line);
  if (written && ::rename(draft.c_str(), path.c_str()) != 0) {
    written = base::fail_errno(errno, "rename " + draft);
  }
  if (!written) ::unlink(draft.c_str());
  return written;
}

base::Error nobody(const std::string& name) {
  return refused({ErrorKind::kNotFound, "there is no relay channel " + base::quoted(name)});
}

}  // namespace

Announcement::Announcement(std::string path, std::string line) noexcept
    : path_(std::move(path)), line_(std::move(line)), owner_(::getpid()) {}

Announcement::Announcement(Announcement&& other) noexcept
    : path_(std::exchange(other.path_, {})), line_(std::move(other.line_)), owner_(other.owner_) {}

Announcement& Announcement::operator=(Announcement&& other) noexcept {
  if (this != &other) {
    withdraw();
    path_ = std::exchange(other.path_, {});
    line_ = std::move(other.line_);
    owner_ = other.owner_;
  }
  return *this;
}

Announcement::~Announcement() { withdraw(); }

// A daemon that has given up what it does not need may do no more than this at its end: open to
// read, and unlink.
void Announcement::withdraw() noexcept {
  if (path_.empty() || owner_ != ::getpid()) return;
  const auto lock = lock_folder(std::filesystem::path(path_).parent_path());
  const auto entry = read_entry(path_);
  // Another may have the name by now, if our channel was closed before.
  if (entry && line_of(*entry) == line_) ::unlink(path_.c_str());
}

base::Result<Announcement> Announcement::make(const daemon::RuntimeDir& folder,
                                              const std::string& name, const Producer& producer) {
  FL_TRY_STATUS(daemon::RuntimeDir::check_name(name));
  if (producer.fd() < 0) {
    return base::fail(ErrorKind::kInvalid, "this relay channel has no memory to be found by");
  }
  FL_TRY(const base::Fd lock, make_and_lock_folder(folder_of(folder)));
  const std::string path = folder_of(folder) + "/" + name;
  if (const auto entry = read_entry(path); entry && lives(*entry)) {
    return base::fail(refused({ErrorKind::kExists, fmt::format("process {} has a relay channel {} "
                                                               "already",
                                                               entry->pid, base::quoted(name))}));
  }
  const std::string line = line_of({::getpid(), producer.fd(), producer.bytes(), producer.id()});
  FL_TRY_STATUS(write_entry(folder_of(folder), name, line));
  return Announcement(path, line);
}

base::Result<Consumer> connect_by_name(const daemon::RuntimeDir& folder, const std::string& name) {
  FL_TRY_STATUS(daemon::RuntimeDir::check_name(name));
  const std::string path = folder_of(folder) + "/" + name;
  auto entry = read_entry(path);
  if (!entry) {
    if (entry.error().kind() == ErrorKind::kNotFound) return base::fail(nobody(name));
    return base::fail(std::move(entry).error());
  }
  if (!lives(*entry)) {
    const auto lock = lock_folder(folder_of(folder));
    const auto still = read_entry(path);
    if (lock && still && line_of(*still) == line_of(*entry)) ::unlink(path.c_str());
    return base::fail(nobody(name).at("its producer has ended"));
  }
  FL_TRY(base::Fd memory, open_memory(*entry));
  return Consumer::connect(std::move(memory), entry->bytes);
}

base::Result<std::vector<std::string>> announced(const daemon::RuntimeDir& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(folder_of(folder), error)) {
    const std::string name = file.path().filename();
    const auto entry = read_entry(file.path());
    if (!name.starts_with('.') && entry && lives(*entry)) names.push_back(name);
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return base::fail_errno(error.value(), "list " + folder_of(folder));
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace fairlead::relay
