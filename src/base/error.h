// SPDX-License-Identifier: Apache-2.0
//
// Error: the world failed.  A small stable kind to branch on, the errno if there was one, and a
// sentence that grows by one clause for each layer that knows more.  Only a main prints it.
//
// Thread-safety: a value.  Not for the data path: it allocates.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fairlead::base {

enum class ErrorKind : std::uint8_t {
  kInvalid,      // an argument or a file's content makes no sense
  kNotFound,     // no such file, service, peer
  kExists,       // already there
  kBusy,         // somebody holds it
  kTimeout,      // not in the stated time
  kClosed,       // the other side went away
  kCorrupt,      // a layout or message that breaks its rules
  kLimit,        // a stated limit is reached
  kUnsupported,  // this system cannot do it
  kDenied,       // no permission
  kIo,           // a device or file failed
};

std::string_view name(ErrorKind kind) noexcept;

class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string what) : kind_(kind), what_(std::move(what)) {}

  // From errno: the kind follows the number; `what` says what was attempted and on what.
  static Error from_errno(int number, std::string_view what);

  ErrorKind kind() const noexcept { return kind_; }
  int system_errno() const noexcept { return errno_; }  // 0: none

  // "open disk1.img: No such file or directory"
  const std::string& message() const noexcept { return what_; }

  // Prefixes one layer's context: error.at("start the service").
  Error at(std::string_view context) &&;

  // What the user can do about it, appended in brackets.
  Error advise(std::string_view remedy) &&;

 private:
  ErrorKind kind_;
  int errno_ = 0;
  std::string what_;
};

}  // namespace fairlead::base
