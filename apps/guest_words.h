// SPDX-License-Identifier: Apache-2.0
//
// Errors about a guest in words that people know it by: libvirt's have its UUID.
//
// Thread-safety: a pure function.
#pragma once

#include <string>

#include "base/error.h"

namespace fairlead::apps {

inline std::string words_of(const base::Error& error, const std::string& uuid,
                            const std::string& name) {
  std::string text = error.message();
  if (const auto at = text.find(uuid); !uuid.empty() && at != std::string::npos) {
    text.replace(at, uuid.size(), name);
  }
  return text;
}

}  // namespace fairlead::apps
