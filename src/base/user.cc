// SPDX-License-Identifier: Apache-2.0
#include "base/user.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace fairlead::base {

std::string user_name(uid_t user) {
  std::array<char, 4096> buffer;
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return found->pw_name;
  }
  return "user " + std::to_string(user);
}

Error denied_service(const std::string& what, const std::string& path) {
  auto error = Error::from_errno(EACCES, what);
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0 || found.st_uid == ::geteuid()) return error;
  return std::move(error).advise("the service belongs to " + user_name(found.st_uid) +
                                 ", and takes clients of that user only");
}

}  // namespace fairlead::base
