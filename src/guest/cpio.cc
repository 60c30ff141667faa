// SPDX-License-Identifier: Apache-2.0
#include "guest/cpio.h"

#include <sys/stat.h>

#include <limits>
#include <utility>

#include <fmt/format.h>

namespace fairlead::guest {
namespace {

using base::ErrorKind;

bool good_name(std::string_view name) {
  while (true) {
    const std::size_t end = name.find('/');
    const std::string_view part = name.substr(0, end);
    if (part.empty() || part == "." || part == ".." || part.contains('\0')) return false;
    if (end == std::string_view::npos) return true;
    name.remove_prefix(end + 1);
  }
}

}  // namespace

base::Status CpioWriter::add_folder(std::string_view name, std::uint32_t mode) {
  return add(name, {}, S_IFDIR | mode);
}

base::Status CpioWriter::add_file(std::string_view name, std::string_view content,
                                  std::uint32_t mode) {
  return add(name, content, S_IFREG | mode);
}

base::Status CpioWriter::add_link(std::string_view name, std::string_view target) {
  return add(name, target, S_IFLNK | 0777);
}

base::Status CpioWriter::add(std::string_view name, std::string_view content, std::uint32_t mode) {
  if (!good_name(name) || name == "TRAILER!!!") {
    return base::fail(ErrorKind::kInvalid, fmt::format("archive: a bad name, '{}'", name));
  }
  if (content.size() > std::numeric_limits<std::uint32_t>::max()) {
    return base::fail(ErrorKind::kLimit, fmt::format("archive: {} is too large", name));
  }
  if (!names_.emplace(name).second) {
    return base::fail(ErrorKind::kInvalid, fmt::format("archive: {} stands there twice", name));
  }
  ++inode_;
  write(name, content, mode);
  return {};
}

void CpioWriter::write(std::string_view name, std::string_view content, std::uint32_t mode) {
  const int links = S_ISDIR(mode) ? 2 : 1;
  out_ += fmt::format("070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}", inode_, mode, 0, 0, links, 0);
  out_ += fmt::format("{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}", content.size(), 0, 0, 0, 0,
                      name.size() + 1, 0);
  out_ += name;
  out_ += '\0';
  pad();
  out_ += content;
  pad();
}

void CpioWriter::pad() { out_.append((4 - out_.size() % 4) % 4, '\0'); }

std::string CpioWriter::finish() {
  inode_ = 0;
  write("TRAILER!!!", {}, 0);
  names_.clear();
  return std::exchange(out_, {});
}

}  // namespace fairlead::guest
