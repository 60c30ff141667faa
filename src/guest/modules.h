// SPDX-License-Identifier: Apache-2.0
//
// Which kernel modules to load, and in which order.
//
// A package has no modules.dep: its installation makes that (depmod).  So this reads what depmod
// reads: "depends=" in each module's .modinfo section, and modules.builtin for what the kernel has
// inside.
//
// Thread-safety: pure functions; load_order() reads files.
// Errors: kCorrupt for what is no module, kNotFound for one that is neither there nor built in,
// kInvalid for modules that need each other in a ring.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fairlead::guest {

// The modules that this one (the bytes of an ELF-64 object) needs, by name.
base::Result<std::vector<std::string>> module_needs(std::string_view object);

// What else it is asked for by: "fs-ext4", "bfq-iosched".
std::vector<std::string> module_aliases(std::string_view object);

struct Module {
  std::string name;  // with '_', never '-'
  std::string path;

  bool operator==(const Module&) const = default;
};

// `wanted` and all that they need, each after what it needs; built-in ones left out.  `folder` is
// lib/modules/VERSION of an unpacked package.
base::Result<std::vector<Module>> load_order(const std::string& folder,
                                             const std::vector<std::string>& wanted);

// The modules of a guest: those loaded at its boot, in order; all that it has; and what its
// modprobe reads about them, for those that are asked for later.
struct ModuleSet {
  std::string version;  // of the kernel; empty: no modules
  std::vector<Module> at_boot;
  std::vector<Module> all;
  std::string dependencies;  // modules.dep
  std::string aliases;       // modules.alias

  bool empty() const noexcept { return version.empty(); }
};
base::Result<ModuleSet> module_set(const std::string& folder,
                                   const std::vector<std::string>& at_boot,
                                   const std::vector<std::string>& on_demand);

// The same over any source: `needs` gives a module's needs, or nothing if it is built in.
using Needs = std::function<base::Result<std::vector<std::string>>(const std::string& name)>;
base::Result<std::vector<std::string>> order_of(const std::vector<std::string>& wanted,
                                                const Needs& needs);

}  // namespace fairlead::guest
