// SPDX-License-Identifier: Apache-2.0
//
// PackageLock: the Debian packages that guests are made of, each with version and SHA-256, so that
// everybody's guest is the same.
//
//     # role   package                             version     SHA-256
//     kernel   linux-image-6.1.0-56-cloud-amd64    6.1.192-2   e7d02b94…
//
// The one built into the program (src/guest/packages.lock) holds until `fairlead guest lock` writes
// a newer one to $XDG_CONFIG_HOME/fairlead/packages.lock.
//
// Thread-safety: values; load() and refreshed() read files and run apt-cache.
// Errors: kInvalid names the line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fairlead::guest {

struct PinnedPackage {
  std::string role;  // kernel, busybox, uml, headers (several)
  std::string name;
  std::string version;
  std::string sha256;  // 64 hexadecimal digits

  bool operator==(const PinnedPackage&) const = default;
};

class PackageLock {
 public:
  explicit PackageLock(std::vector<PinnedPackage> packages) : packages_(std::move(packages)) {}
  static base::Result<PackageLock> parse(std::string_view text);
  static base::Result<PackageLock> built_in();
  // `path`; if that is empty the user's own, else the built-in one.
  static base::Result<PackageLock> load(const std::string& path);
  static std::string user_path();

  // What the archive has now, as apt knows it.
  static base::Result<PackageLock> refreshed();

  std::string text() const;
  const std::vector<PinnedPackage>& packages() const noexcept { return packages_; }
  std::vector<PinnedPackage> of(std::string_view role) const;
  // The one package of the role; kNotFound if there is none or several.
  base::Result<PinnedPackage> only(std::string_view role) const;

 private:
  std::vector<PinnedPackage> packages_;
};

}  // namespace fairlead::guest
