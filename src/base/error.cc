// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <cerrno>
#include <system_error>

namespace fairlead::base {
namespace {

ErrorKind kind_of(int number) noexcept {
  switch (number) {
    case ENOENT:
    case ESRCH:
    case ENXIO: return ErrorKind::kNotFound;
    case EEXIST:
    case EADDRINUSE: return ErrorKind::kExists;
    case EBUSY:
    case EAGAIN: return ErrorKind::kBusy;
    case ETIMEDOUT: return ErrorKind::kTimeout;
    case ECONNRESET:
    case EPIPE:
    case ECONNREFUSED:
    case ENOTCONN: return ErrorKind::kClosed;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOSPC: return ErrorKind::kLimit;
    case EOPNOTSUPP:
    case ENOSYS: return ErrorKind::kUnsupported;
    case EACCES:
    case EPERM:
    case EROFS: return ErrorKind::kDenied;
    case EINVAL:
    case ENAMETOOLONG:
    case EISDIR:
    case ENOTDIR: return ErrorKind::kInvalid;
    default: return ErrorKind::kIo;
  }
}

}  // namespace

std::string_view name(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::kInvalid: return "invalid";
    case ErrorKind::kNotFound: return "not found";
    case ErrorKind::kExists: return "exists";
    case ErrorKind::kBusy: return "busy";
    case ErrorKind::kTimeout: return "timeout";
    case ErrorKind::kClosed: return "closed";
    case ErrorKind::kCorrupt: return "corrupt";
    case ErrorKind::kLimit: return "limit";
    case ErrorKind::kUnsupported: return "unsupported";
    case ErrorKind::kDenied: return "denied";
    case ErrorKind::kIo: return "io";
  }
  return "unknown";
}

Error Error::from_errno(int number, std::string_view what) {
  Error error(kind_of(number), std::string(what) + ": " + std::generic_category().message(number));
  error.errno_ = number;
  return error;
}

Error Error::at(std::string_view context) && {
  what_.insert(0, std::string(context) + ": ");
  return std::move(*this);
}

Error Error::advise(std::string_view remedy) && {
  what_ += " (" + std::string(remedy) + ")";
  return std::move(*this);
}

}  // namespace fairlead::base
