// SPDX-License-Identifier: Apache-2.0
//
// PackageStore: pinned Debian packages, fetched once by apt-get, held against their SHA-256, and
// unpacked by dpkg-deb.  No root.
//
//     CACHE/packages/SHA256.deb
//
// Thread-safety: several processes may use one store: a file appears whole, under its digest.
// Errors: kNotFound if the archive no longer has the version (says which it has), kCorrupt if the
// bytes are not those that were pinned.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "guest/lock.h"

namespace fairlead::guest {

// $XDG_CACHE_HOME/fairlead, else ~/.cache/fairlead; kInvalid if neither is set.
base::Result<std::string> cache_folder();

// A folder of its own that is removed at the end, with all in it.
class ScratchFolder {
 public:
  static base::Result<ScratchFolder> make(const std::string& parent);
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder();
  const std::string& path() const noexcept { return path_; }

 private:
  explicit ScratchFolder(std::string path) noexcept : path_(std::move(path)) {}
  std::string path_;
};

class PackageStore {
 public:
  explicit PackageStore(std::string cache) : folder_(std::move(cache) + "/packages") {}

  // The .deb file, from the store or fetched into it.
  base::Result<std::string> fetch(const PinnedPackage& package) const;
  base::Status unpack(const PinnedPackage& package, const std::string& into) const;

 private:
  std::string folder_;
};

base::Result<std::string> sha256_of(const std::string& path);
base::Status make_folders(const std::string& path);

}  // namespace fairlead::guest
