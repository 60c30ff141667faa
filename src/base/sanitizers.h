// SPDX-License-Identifier: Apache-2.0
//
// What this code was compiled with.  Sanitizers make it several times slower, take addresses and
// descriptors, and call the kernel in ways of their own; who must know asks here.
//
// Thread-safety: constants.
// Source: gcc, "Common Predefined Macros"; clang, "Language Extensions", __has_feature.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define FL_ADDRESS_SANITIZED 1
#endif
#if defined(__SANITIZE_THREAD__)
#define FL_THREAD_SANITIZED 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FL_ADDRESS_SANITIZED 1
#endif
#if __has_feature(thread_sanitizer)
#define FL_THREAD_SANITIZED 1
#endif
#endif

namespace fairlead::base {

#if defined(FL_ADDRESS_SANITIZED) || defined(FL_THREAD_SANITIZED)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace fairlead::base
