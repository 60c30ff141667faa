// SPDX-License-Identifier: Apache-2.0
#include "guest/package.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "base/file.h"
#include "guest/subprocess.h"

namespace fairlead::guest {
namespace {

using base::ErrorKind;

// What the archive has instead: "6.1.200-1", or nothing.
std::string version_now(const std::string& name) {
  const auto text = run_tool({"apt-cache", "show", "--no-all-versions", name});
  if (!text) return {};
  const std::size_t at = text->find("\nVersion: ");
  if (at == std::string::npos) return {};
  return text->substr(at + 10, text->find('\n', at + 1) - at - 10);
}

base::Error gone(const PinnedPackage& package, const base::Error& why) {
  const std::string now = version_now(package.name);
  if (now == package.version) return base::Error(why).at("fetch " + package.name);
  if (now.empty()) {
    return base::Error(ErrorKind::kNotFound, fmt::format("apt knows no package {}", package.name))
        .advise("apt-get update; if it has gone from the archive: fairlead guest lock");
  }
  return base::Error(ErrorKind::kNotFound,
                     fmt::format("{} {} has gone from the archive, which has {}", package.name,
                                 package.version, now))
      .advise("take the newer one: fairlead guest lock");
}

base::Result<std::string> only_deb_in(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".deb") return entry.path().string();
  }
  return base::fail(ErrorKind::kNotFound, "apt-get download left no package in " + folder);
}

}  // namespace

base::Result<std::string> cache_folder() {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return std::string(cache) + "/fairlead";
  const char* const home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return std::string(home) + "/.cache/fairlead";
  return base::fail(ErrorKind::kInvalid, "neither XDG_CACHE_HOME nor HOME names a folder");
}

base::Status make_folders(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return base::fail_errno(error.value(), "make folder " + path);
  return {};
}

base::Result<ScratchFolder> ScratchFolder::make(const std::string& parent) {
  FL_TRY_STATUS(make_folders(parent));
  std::string path = parent + "/.tmp-XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) return base::fail_errno(errno, "make folder " + path);
  return ScratchFolder(path);
}

ScratchFolder::~ScratchFolder() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

base::Result<std::string> sha256_of(const std::string& path) {
  FL_TRY(const std::string text, run_tool({"sha256sum", "--", path}));
  if (text.size() < 64) return base::fail(ErrorKind::kIo, "sha256sum says nothing of " + path);
  // A backslash before the digest: the name was escaped.
  return text.substr(text.front() == '\\' ? 1 : 0, 64);
}

base::Result<std::string> PackageStore::fetch(const PinnedPackage& package) const {
  std::string path = folder_ + "/" + package.sha256 + ".deb";
  if (::access(path.c_str(), R_OK) == 0) {
    FL_TRY(const std::string digest, sha256_of(path));
    if (digest == package.sha256) return path;
    ::unlink(path.c_str());
  }
  FL_TRY(const ScratchFolder scratch, ScratchFolder::make(folder_));
  const auto done = run_tool({"apt-get", "-q", "download", package.name + "=" + package.version},
                             {.folder = scratch.path()});
  if (!done) return base::fail(gone(package, done.error()));
  FL_TRY(const std::string file, only_deb_in(scratch.path()));
  FL_TRY(const std::string digest, sha256_of(file));
  if (digest != package.sha256) {
    return base::fail(
        base::Error(ErrorKind::kCorrupt,
                    fmt::format("{} {} has SHA-256 {}, the lock says {}", package.name,
                                package.version, digest, package.sha256))
            .advise("if you trust the archive: fairlead guest lock"));
  }
  if (::rename(file.c_str(), path.c_str()) != 0) return base::fail_errno(errno, "keep " + path);
  return path;
}

base::Status PackageStore::unpack(const PinnedPackage& package, const std::string& into) const {
  FL_TRY(const std::string file, fetch(package));
  FL_TRY_STATUS(make_folders(into));
  auto done = run_tool({"dpkg-deb", "-x", file, into});
  if (!done) return base::fail(std::move(done).error().at("unpack " + package.name));
  return {};
}

}  // namespace fairlead::guest
