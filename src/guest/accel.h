// SPDX-License-Identifier: Apache-2.0
//
// Does KVM run guests here?  That /dev/kvm opens does not say so: under some hypervisors it opens
// and the guest never starts.  So one is booted, with a time limit, and the answer kept in
// CACHE/accel for this boot of the host, this kernel and this QEMU.
//
// Thread-safety: any; two that ask at once both boot one.
#pragma once

#include <string>

#include "base/result.h"
#include "guest/domain_xml.h"
#include "guest/image.h"

namespace fairlead::guest {

struct AccelAnswer {
  Accel accel = Accel::kTcg;
  std::string why;  // "no /dev/kvm", "a guest did not boot in 10 s", …
  bool remembered = false;
};

base::Result<AccelAnswer> prove_accel(const std::string& cache, const Image& image);

}  // namespace fairlead::guest
