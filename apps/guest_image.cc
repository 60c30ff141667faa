// SPDX-License-Identifier: Apache-2.0
#include "apps/guest_image.h"

#include "guest/lock.h"
#include "guest/package.h"

namespace fairlead::apps {

base::Result<GuestImage> guest_image(const std::string& lock, const std::string& accel,
                                     const std::function<void(std::string_view)>& on_step) {
  GuestImage made;
  FL_TRY(const auto packages, guest::PackageLock::load(lock));
  guest::ImageOptions options;
  options.on_step = on_step;
  FL_TRY(options.cache, guest::cache_folder());
  FL_TRY(options.agent, guest::find_agent());
  FL_TRY(made.image, guest::build_image(guest::ImageKind::kQemu, packages, options));
  made.cache = options.cache;
  if (accel != "auto") {
    made.accel.accel = accel == "kvm" ? guest::Accel::kKvm : guest::Accel::kTcg;
    made.accel.remembered = true;
    return made;
  }
  on_step("asking whether KVM runs guests here");
  FL_TRY(made.accel, guest::prove_accel(made.cache, made.image));
  return made;
}

}  // namespace fairlead::apps
