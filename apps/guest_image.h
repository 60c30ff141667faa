// SPDX-License-Identifier: Apache-2.0
//
// What the guests of the lab boot, and by what they run, made ready for programs that start them.
//
// Thread-safety: none.  Errors: those of guest/image.h, guest/accel.h.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "guest/accel.h"
#include "guest/image.h"

namespace fairlead::apps {

struct GuestImage {
  guest::Image image;
  guest::AccelAnswer accel;
  std::string cache;  // the folder
};

// `lock`: a file that pins packages; empty: the user's, else ours.  `accel`: auto, kvm or tcg.
base::Result<GuestImage> guest_image(const std::string& lock, const std::string& accel,
                                     const std::function<void(std::string_view)>& on_step);

}  // namespace fairlead::apps
