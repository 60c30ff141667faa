// SPDX-License-Identifier: Apache-2.0
//
// check_local_uri: a manager serves the host that it runs on, as half of what it reads is in /proc.
//
// kInvalid for a libvirt URI that leads to another host: scheme[+transport]://[host]/… with an
// authority, or with a transport over the network; and for none, by which libvirt would choose one.
//
// Thread-safety: a pure function.
#pragma once

#include <string>

#include "base/result.h"

namespace fairlead::virt {

inline bool is_remote(const std::string& uri) {
  const auto colon = uri.find("://");
  if (colon == std::string::npos) return false;
  const std::string scheme = uri.substr(0, colon);
  const auto plus = scheme.find('+');
  if (plus != std::string::npos && scheme.substr(plus) != "+unix") return true;
  return colon + 3 < uri.size() && uri[colon + 3] != '/';
}

inline base::Status check_local_uri(const std::string& uri) {
  if (uri.empty()) return base::fail(base::ErrorKind::kInvalid, "it is empty");
  if (!is_remote(uri)) return {};
  return base::fail(base::Error(base::ErrorKind::kInvalid, "'" + uri + "' is another host")
                        .advise("run this on the host whose guests it is to manage"));
}

}  // namespace fairlead::virt
