// SPDX-License-Identifier: Apache-2.0
//
// Result<T>: a value or an Error.  FL_TRY unwraps one or returns its error to the caller.
//
//     Result<Image> open_image(path) {
//       FL_TRY(Fd fd, open_direct(path));
//       ...
#pragma once

#include <expected>

#include "base/error.h"

namespace fairlead::base {

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

inline std::unexpected<Error> fail(Error error) { return std::unexpected<Error>(std::move(error)); }
inline std::unexpected<Error> fail(ErrorKind kind, std::string what) {
  return fail(Error(kind, std::move(what)));
}
// errno must be read before anything else can change it: pass it as the first argument.
inline std::unexpected<Error> fail_errno(int number, std::string_view what) {
  return fail(Error::from_errno(number, what));
}

}  // namespace fairlead::base

#define FL_TRY_NAME2(a, b) a##b
#define FL_TRY_NAME(a, b) FL_TRY_NAME2(a, b)
#define FL_TRY_IMPL(result, declaration, expression)                     \
  auto result = (expression);                                            \
  if (!result) return ::fairlead::base::fail(std::move(result).error()); \
  declaration = *std::move(result)
#define FL_TRY(declaration, expression) \
  FL_TRY_IMPL(FL_TRY_NAME(fl_result_, __LINE__), declaration, expression)
#define FL_TRY_STATUS(expression)                \
  if (auto fl_status = (expression); !fl_status) \
  return ::fairlead::base::fail(std::move(fl_status).error())
