// SPDX-License-Identifier: Apache-2.0
//
// Image: a kernel and the initramfs that goes with it, made once of pinned packages and our agent.
//
//     CACHE/images/KEY/kernel      QEMU: the vmlinux inside vmlinuz, started by PVH, because
//                                  unpacking it in every guest costs a second; UML: linux.uml
//     CACHE/images/KEY/initramfs   /init (the agent), /bin/busybox, /modules/*.ko, the order in
//                                  which some are loaded at boot, and what modprobe reads to load
//                                  the others when they are asked for: ext4, kyber, bfq
//     CACHE/headers/KEY            kernel headers, to build modules for the guest
//
// KEY is a digest of what goes in, so another lock or agent makes another image, and the same ones
// the same bytes.  Nothing is removed.
//
// Thread-safety: several processes may build at once; the first to finish wins, all get the same.
// Errors: those of PackageStore; kUnsupported if a tool to unpack with is missing.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "guest/lock.h"
#include "guest/modules.h"

namespace fairlead::guest {

enum class ImageKind : std::uint8_t { kQemu, kUml };
std::string_view name(ImageKind kind) noexcept;

struct Image {
  std::string kernel;
  std::string initramfs;
  std::string key;
  std::string version;  // of the kernel's package
  bool fresh = false;   // built by this call
};

struct ImageOptions {
  std::string cache;                              // of cache_folder()
  std::string agent;                              // the program; find_agent()
  std::function<void(std::string_view)> on_step;  // for people; may be empty
};

base::Result<Image> build_image(ImageKind kind, const PackageLock& lock,
                                const ImageOptions& options);

// The folder whose usr/src/linux-headers-* is for `make -C`.
base::Result<std::string> build_headers(const PackageLock& lock, const ImageOptions& options);

// fairlead-agent: $FAIRLEAD_AGENT, or beside the running program, or in ../libexec/fairlead.
base::Result<std::string> find_agent();

// Deterministic; no modules: without a folder for them.
base::Result<std::string> make_initramfs(const std::string& agent, const std::string& busybox,
                                         const ModuleSet& modules);

// The kernel inside a vmlinuz (Documentation/arch/x86/boot.rst: payload_offset), written to `to`.
base::Status unpack_kernel(const std::string& vmlinuz, const std::string& to);

}  // namespace fairlead::guest
