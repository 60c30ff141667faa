// SPDX-License-Identifier: Apache-2.0
#include "guest/lock.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include <fmt/format.h>

#include "base/file.h"
#include "guest/builtin_lock.h"
#include "guest/subprocess.h"

namespace fairlead::guest {
namespace {

using base::ErrorKind;

constexpr std::size_t kMostLockBytes = 64 << 10;
constexpr std::string_view kRoles[] = {"kernel", "busybox", "uml", "headers"};
constexpr const char* kKernelOfTheDay = "linux-image-cloud-amd64";
constexpr std::string_view kWordCharacters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-:~";

// Also keeps options and paths out of the command lines that these words become part of.
bool good_word(std::string_view word) {
  return !word.empty() && word.front() != '-' && word.front() != '.' &&
         word.find_first_not_of(kWordCharacters) == std::string_view::npos;
}

bool good_digest(std::string_view digest) {
  return digest.size() == 64 &&
         digest.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

base::Result<PinnedPackage> parse_line(const std::string& line) {
  std::istringstream words(line);
  PinnedPackage package;
  std::string more;
  words >> package.role >> package.name >> package.version >> package.sha256;
  if (!words || words >> more) {
    return base::fail(ErrorKind::kInvalid, "a line is: role package version SHA-256");
  }
  if (std::ranges::find(kRoles, package.role) == std::end(kRoles)) {
    return base::fail(ErrorKind::kInvalid, "no role '" + package.role + "'");
  }
  if (!good_word(package.name) || !good_word(package.version)) {
    return base::fail(ErrorKind::kInvalid, "not a Debian package or version");
  }
  if (!good_digest(package.sha256)) {
    return base::fail(ErrorKind::kInvalid, "a SHA-256 has 64 hexadecimal digits");
  }
  return package;
}

std::string field(const std::string& stanza, const std::string& name) {
  std::istringstream lines(stanza);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) return {};  // the first stanza is the candidate
    if (line.starts_with(name + ": ")) return line.substr(name.size() + 2);
  }
  return {};
}

base::Result<PinnedPackage> newest(const std::string& role, const std::string& name) {
  auto stanza = run_tool({"apt-cache", "show", "--no-all-versions", name});
  if (!stanza) {
    return base::fail(std::move(stanza).error().at("ask apt for " + name).advise("apt-get update"));
  }
  PinnedPackage package{role, name, field(*stanza, "Version"), field(*stanza, "SHA256")};
  if (!good_word(package.version) || !good_digest(package.sha256)) {
    return base::fail(
        base::Error(ErrorKind::kNotFound, "apt knows no package " + name).advise("apt-get update"));
  }
  return package;
}

// The packages that `name` depends on whose names begin with `start`.
base::Result<std::vector<std::string>> depends(const std::string& name, std::string_view start) {
  FL_TRY(const std::string text, run_tool({"apt-cache", "depends", "--important", name}));
  std::istringstream lines(text);
  std::vector<std::string> found;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.find("Depends: ");
    if (at == std::string::npos) continue;
    const std::string one = line.substr(at + 9);
    if (one.starts_with(start)) found.push_back(one);
  }
  return found;
}

}  // namespace

base::Result<PackageLock> PackageLock::parse(std::string_view text) {
  std::istringstream lines{std::string(text)};
  std::vector<PinnedPackage> packages;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty() || line.front() == '#') continue;
    auto package = parse_line(line);
    if (!package) return base::fail(std::move(package).error().at(fmt::format("line {}", number)));
    packages.push_back(*std::move(package));
  }
  return PackageLock(std::move(packages));
}

base::Result<PackageLock> PackageLock::built_in() { return parse(kBuiltInLock); }

std::string PackageLock::user_path() {
  const char* const config = std::getenv("XDG_CONFIG_HOME");
  const char* const home = std::getenv("HOME");
  const std::string folder = config != nullptr && *config == '/'
                                 ? config
                                 : std::string(home == nullptr ? "" : home) + "/.config";
  return folder + "/fairlead/packages.lock";
}

base::Result<PackageLock> PackageLock::load(const std::string& path) {
  std::string from = path;
  if (from.empty()) {
    std::error_code none;
    if (!std::filesystem::exists(user_path(), none)) return built_in();
    from = user_path();
  }
  FL_TRY(const std::string text, base::read_file(from, kMostLockBytes));
  auto lock = parse(text);
  if (!lock) return base::fail(std::move(lock).error().at(from));
  return lock;
}

base::Result<PackageLock> PackageLock::refreshed() {
  FL_TRY(const auto kernels, depends(kKernelOfTheDay, "linux-image-"));
  if (kernels.empty()) {
    return base::fail(
        base::Error(ErrorKind::kNotFound, "apt knows no cloud kernel").advise("apt-get update"));
  }
  std::vector<PinnedPackage> packages;
  const auto add = [&](const std::string& role, const std::string& name) -> base::Status {
    FL_TRY(auto package, newest(role, name));
    packages.push_back(std::move(package));
    return {};
  };
  FL_TRY_STATUS(add("kernel", kernels.front()));
  FL_TRY_STATUS(add("busybox", "busybox-static"));
  FL_TRY_STATUS(add("uml", "user-mode-linux"));
  const std::string headers =
      "linux-headers-" + kernels.front().substr(std::string_view("linux-image-").size());
  FL_TRY_STATUS(add("headers", headers));
  FL_TRY(const auto below, depends(headers, "linux-"));
  for (const std::string& name : below) {
    if (!name.starts_with("linux-compiler-")) FL_TRY_STATUS(add("headers", name));
  }
  return PackageLock(std::move(packages));
}

std::string PackageLock::text() const {
  std::string out = "# What the small guests are made of.  `fairlead guest lock` writes this.\n";
  for (const PinnedPackage& one : packages_) {
    out += fmt::format("{:8} {} {} {}\n", one.role, one.name, one.version, one.sha256);
  }
  return out;
}

std::vector<PinnedPackage> PackageLock::of(std::string_view role) const {
  std::vector<PinnedPackage> found;
  for (const PinnedPackage& one : packages_) {
    if (one.role == role) found.push_back(one);
  }
  return found;
}

base::Result<PinnedPackage> PackageLock::only(std::string_view role) const {
  auto found = of(role);
  if (found.size() == 1) return std::move(found.front());
  return base::fail(
      base::Error(ErrorKind::kNotFound,
                  fmt::format("the lock has {} packages of role {}, not one", found.size(), role))
          .advise("fairlead guest lock"));
}

}  // namespace fairlead::guest
