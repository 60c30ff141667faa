// SPDX-License-Identifier: Apache-2.0
#include "block/integrity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "base/fd.h"

namespace fairlead::block {

using base::ErrorKind;

namespace {

constexpr std::uint64_t kSector = 512;

base::Error open_error(int number, const std::string& path) {
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
    if (!file.fd_) return base::fail(open_error(errno, path));
    struct stat status{};
    if (::fstat(file.fd_.get(), &status) != 0) return base::fail_errno(errno, "stat " + path);
    if (S_ISDIR(status.st_mode)) return base::fail(ErrorKind::kInvalid, path + " is a directory");
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

base::Result<std::vector<std::uint64_t>> read_sectors(const std::string& path) {
  FL_TRY(const InputFile file, InputFile::open(path));
  std::string text(file.bytes(), '\0');
  FL_TRY_STATUS(file.read(0, reinterpret_cast<std::byte*>(text.data()), text.size()));
  std::vector<std::uint64_t> sectors;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at != end) {
    std::uint64_t sector = 0;
    const auto [next, error] = std::from_chars(at, end, sector);
    if (error != std::errc() || (next != end && *next != '\n')) {
      return base::fail(ErrorKind::kCorrupt, path + ": line " + std::to_string(sectors.size() + 1) +
                                                 " is no sector number");
    }
    sectors.push_back(sector);
    at = next == end ? end : next + 1;
  }
  return sectors;
}

// Digits and line ends only, as far as the first page shows.
bool looks_like_sectors(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 4096> page;
  file.read(page.data(), page.size());
  const auto count = static_cast<std::size_t>(file.gcount());
  return count > 0 && std::all_of(page.begin(), page.begin() + static_cast<std::ptrdiff_t>(count),
                                  [](char c) { return c == '\n' || (c >= '0' && c <= '9'); });
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
  IntegrityFiles files;
  files.sectors = take([](const std::string& path) { return named(path, "sectors."); });
  files.data = take([](const std::string& path) { return named(path, "read."); });
  if (files.sectors.empty()) files.sectors = take(looks_like_sectors);
  if (files.sectors.empty()) {
    return base::fail(ErrorKind::kInvalid,
                      "none of the three files is a list of sector numbers (sectors.PID)");
  }
  if (files.data.empty()) {
    FL_TRY(const auto sectors, read_sectors(files.sectors));
    const std::uint64_t bytes = sectors.size() * kSector;
    const auto fits = [bytes](const std::string& path) {
      std::error_code error;
      return std::filesystem::file_size(path, error) == bytes && !error;
    };
    if (std::count_if(rest.begin(), rest.end(), fits) > 1) {
      return base::fail(base::Error(ErrorKind::kInvalid, rest[0] + " and " + rest[1] +
                                                             " have the same size: which is the "
                                                             "image does not show")
                            .advise("name the other read.PID"));
    }
    files.data = take(fits);
  }
  if (files.data.empty() || rest.size() != 1) {
    return base::fail(ErrorKind::kInvalid,
                      "none of the files holds 512 bytes for each line of " + files.sectors);
  }
  files.image = rest.front();
  return files;
}

base::Result<IntegrityResult> compare(const IntegrityFiles& files) {
  FL_TRY(const auto sectors, read_sectors(files.sectors));
  FL_TRY(const InputFile data, InputFile::open(files.data));
  FL_TRY(const InputFile image, InputFile::open(files.image));
  if (data.bytes() != sectors.size() * kSector) {
    return base::fail(ErrorKind::kCorrupt, files.data + " has " + std::to_string(data.bytes()) +
                                               " bytes, but " + files.sectors + " lists " +
                                               std::to_string(sectors.size()) + " sectors");
  }
  IntegrityResult result;
  std::array<std::byte, kSector> got;
  std::array<std::byte, kSector> want;
  for (; result.records < sectors.size(); ++result.records) {
    const std::uint64_t sector = sectors[result.records];
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
