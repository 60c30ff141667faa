// SPDX-License-Identifier: Apache-2.0
#include "block/integrity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <vector>

#include "base/fd.h"

namespace fairlead::block {

using base::ErrorKind;

namespace {

constexpr std::uint64_t kSector = 512;

base::Error cannot_open(int number, const std::string& path) {
  auto error = base::Error::from_errno(number, "open " + path);
  if (number != ENOENT || !path.ends_with(".PID")) return error;
  return std::move(error).advise("PID stands for the number of the client's process: see ls " +
                                 path.substr(0, path.size() - 3) + "*");
}

class InputFile {
 public:
  static base::Result<InputFile> open(const std::string& path) {
    InputFile file;
    file.path_ = path;
    file.fd_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.fd_) return base::fail(cannot_open(errno, path));
    struct stat status{};
    if (::fstat(file.fd_.get(), &status) != 0) return base::fail_errno(errno, "stat " + path);
    if (S_ISDIR(status.st_mode)) return base::fail(ErrorKind::kInvalid, path + " is a directory");
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) {
      return base::fail(ErrorKind::kInvalid,
                        path + " is neither a regular file nor a block device");
    }
    const off_t end = ::lseek(file.fd_.get(), 0, SEEK_END);  // block devices too
    if (end < 0) return base::fail_errno(errno, "size of " + path);
    file.bytes_ = static_cast<std::uint64_t>(end);
    return file;
  }

  base::Status read(std::uint64_t offset, std::byte* out, std::uint64_t bytes) const {
    while (bytes > 0) {
      const ssize_t got = ::pread(fd_.get(), out, bytes, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return base::fail_errno(errno, "read " + path_);
      if (got == 0) return base::fail(ErrorKind::kCorrupt, path_ + " ends too early");
      out += got;
      offset += static_cast<std::uint64_t>(got);
      bytes -= static_cast<std::uint64_t>(got);
    }
    return {};
  }
  std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  base::Fd fd_;
  std::string path_;
  std::uint64_t bytes_ = 0;
};

// The numbers of a list, one after the other; holds a page of it, however long it is.
class SectorList {
 public:
  static base::Result<SectorList> open(const std::string& path) {
    SectorList list;
    FL_TRY(list.file_, InputFile::open(path));
    list.path_ = path;
    return list;
  }

  // nullopt: the end.
  base::Result<std::optional<std::uint64_t>> next() {
    ++line_;
    std::uint64_t number = 0;
    bool digits = false;
    for (;;) {
      FL_TRY(const int c, get());
      if (c < 0 && !digits) {
        if (ended_line_) return std::nullopt;
        return wrong();
      }
      ended_line_ = c == '\n';
      if (c < 0) ended_line_ = true;
      if (ended_line_) return digits ? base::Result<std::optional<std::uint64_t>>(number) : wrong();
      const auto digit = static_cast<std::uint64_t>(c - '0');
      if (c < '0' || c > '9' || number > (~std::uint64_t{0} - digit) / 10) return wrong();
      number = number * 10 + digit;
      digits = true;
    }
  }
  std::uint64_t line() const noexcept { return line_; }

 private:
  std::unexpected<base::Error> wrong() const {
    return base::fail(ErrorKind::kCorrupt,
                      path_ + ": line " + std::to_string(line_) + " is no sector number");
  }
  // The next byte; -1: the end.
  base::Result<int> get() {
    if (at_ == filled_) {
      filled_ = std::min<std::uint64_t>(page_.size(), file_.bytes() - read_);
      at_ = 0;
      if (filled_ == 0) return -1;
      FL_TRY_STATUS(file_.read(read_, page_.data(), filled_));
      read_ += filled_;
    }
    return static_cast<int>(page_[at_++]);
  }

  InputFile file_;
  std::string path_;
  std::vector<std::byte> page_{std::size_t{64} * 1024};
  std::uint64_t read_ = 0;
  std::uint64_t filled_ = 0;
  std::uint64_t at_ = 0;
  std::uint64_t line_ = 0;
  bool ended_line_ = true;
};

base::Result<std::uint64_t> count_sectors(const std::string& path) {
  FL_TRY(SectorList list, SectorList::open(path));
  for (std::uint64_t count = 0;; ++count) {
    FL_TRY(const auto sector, list.next());
    if (!sector) return count;
  }
}

// Digits and line ends only, as far as the first page shows.
bool looks_like_sectors(const std::string& path) {
  const auto file = InputFile::open(path);
  if (!file) return false;
  std::array<std::byte, 4096> page;
  const std::uint64_t count = std::min<std::uint64_t>(page.size(), file->bytes());
  if (count == 0 || !file->read(0, page.data(), count)) return false;
  return std::all_of(page.begin(), page.begin() + static_cast<std::ptrdiff_t>(count),
                     [](std::byte b) {
                       const auto c = static_cast<char>(b);
                       return c == '\n' || (c >= '0' && c <= '9');
                     });
}

bool has_bytes(const std::string& path, std::uint64_t bytes) {
  const auto file = InputFile::open(path);
  return file && file->bytes() == bytes;
}

bool named(const std::string& path, const char* prefix) {
  return std::filesystem::path(path).filename().string().starts_with(prefix);
}

}  // namespace

base::Result<IntegrityFiles> sort_out(std::span<const std::string> paths) {
  std::vector<std::string> rest(paths.begin(), paths.end());
  const auto take = [&rest](auto&& is_it) {
    const auto found = std::find_if(rest.begin(), rest.end(), is_it);
    std::string path;
    if (found != rest.end()) {
      path = *found;
      rest.erase(found);
    }
    return path;
  };
  const auto named_list = [](const std::string& path) { return named(path, "sectors."); };
  const auto named_data = [](const std::string& path) { return named(path, "read."); };
  IntegrityFiles files;
  // A name counts where the content agrees, or where no content speaks for another.
  files.sectors =
      take([&](const std::string& p) { return named_list(p) && looks_like_sectors(p); });
  if (files.sectors.empty()) files.sectors = take(named_list);
  if (files.sectors.empty()) files.sectors = take(looks_like_sectors);
  if (files.sectors.empty()) {
    return base::fail(ErrorKind::kInvalid,
                      "none of the three files is a list of sector numbers (sectors.PID)");
  }
  FL_TRY(const std::uint64_t count, count_sectors(files.sectors));
  const auto fits = [&](const std::string& path) { return has_bytes(path, count * kSector); };
  const auto both = [&](const std::string& path) { return named_data(path) && fits(path); };
  if (std::count_if(rest.begin(), rest.end(), fits) > 1 &&
      std::count_if(rest.begin(), rest.end(), named_data) != 1) {
    return base::fail(base::Error(ErrorKind::kInvalid, rest[0] + " and " + rest[1] +
                                                           " have the same size: which is the "
                                                           "image does not show")
                          .advise("name the other read.PID"));
  }
  files.data = take(both);
  if (files.data.empty()) files.data = take(fits);
  if (files.data.empty()) files.data = take(named_data);
  if (files.data.empty() || rest.size() != 1) {
    return base::fail(ErrorKind::kInvalid,
                      "none of the files holds 512 bytes for each line of " + files.sectors);
  }
  files.image = rest.front();
  return files;
}

base::Result<IntegrityResult> compare(const IntegrityFiles& files) {
  FL_TRY(const std::uint64_t count, count_sectors(files.sectors));
  FL_TRY(SectorList sectors, SectorList::open(files.sectors));
  FL_TRY(const InputFile data, InputFile::open(files.data));
  FL_TRY(const InputFile image, InputFile::open(files.image));
  if (data.bytes() != count * kSector) {
    return base::fail(ErrorKind::kCorrupt, files.data + " has " + std::to_string(data.bytes()) +
                                               " bytes, but " + files.sectors + " lists " +
                                               std::to_string(count) + " sectors");
  }
  IntegrityResult result;
  std::array<std::byte, kSector> got;
  std::array<std::byte, kSector> want;
  for (; result.records < count; ++result.records) {
    FL_TRY(const auto listed, sectors.next());
    if (!listed) return base::fail(ErrorKind::kCorrupt, files.sectors + " changed meanwhile");
    const std::uint64_t sector = *listed;
    if (sector >= image.bytes() / kSector) {
      return base::fail(ErrorKind::kCorrupt,
                        files.sectors + ": line " + std::to_string(result.records + 1) +
                            ": sector " + std::to_string(sector) + " is not in " + files.image);
    }
    FL_TRY_STATUS(data.read(result.records * kSector, got.data(), kSector));
    FL_TRY_STATUS(image.read(sector * kSector, want.data(), kSector));
    const auto differs = std::mismatch(got.begin(), got.end(), want.begin()).first;
    if (differs == got.end()) {
      ++result.matched;
    } else if (!result.first_mismatch) {
      result.first_mismatch = {result.records, sector,
                               static_cast<std::uint32_t>(differs - got.begin())};
    }
  }
  return result;
}

}  // namespace fairlead::block
