// SPDX-License-Identifier: Apache-2.0
#include "guest/image.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "base/file.h"
#include "guest/cpio.h"
#include "guest/package.h"

namespace fairlead::guest {
namespace {

using base::ErrorKind;

constexpr std::size_t kMostFileBytes = 256 << 20;
constexpr int kFormat = 2;  // of what we make of the packages: raised, all images are made anew
const std::vector<std::string> kAtBoot = {"virtio_pci", "virtio_console", "virtio_balloon",
                                          "virtio_blk"};
const std::vector<std::string> kOnDemand = {"ext4", "crc32c_generic", "kyber_iosched", "bfq"};

void say(const ImageOptions& options, std::string_view step) {
  if (options.on_step) options.on_step(step);
}

std::vector<PinnedPackage> parts(ImageKind kind, const PackageLock& lock) {
  std::vector<PinnedPackage> packages = lock.of(kind == ImageKind::kUml ? "uml" : "kernel");
  for (auto& one : lock.of("busybox")) packages.push_back(std::move(one));
  return packages;
}

// 16 digits of a digest over what goes in.
base::Result<std::string> key_of(std::string_view what, const std::vector<PinnedPackage>& packages,
                                 const std::string& agent, const std::string& scratch) {
  std::string text = fmt::format("{} {}\n", what, kFormat);
  if (!agent.empty()) {
    FL_TRY(const std::string digest, sha256_of(agent));
    text += digest;
  }
  for (const PinnedPackage& one : packages) text += fmt::format("\n{} {}", one.name, one.sha256);
  FL_TRY_STATUS(base::write_file_atomic(scratch + "/key", text));
  FL_TRY(const std::string digest, sha256_of(scratch + "/key"));
  return digest.substr(0, 16);
}

// The one entry of `folder` whose name begins with `start`.
base::Result<std::string> only_entry(const std::string& folder, std::string_view start) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().filename().string().starts_with(start)) return entry.path().string();
  }
  return base::fail(ErrorKind::kNotFound, fmt::format("{} has no {}*", folder, start));
}

base::Status make_qemu_image(const PackageStore& store, const PackageLock& lock,
                             const ImageOptions& options, const std::string& scratch) {
  FL_TRY(const auto kernel, lock.only("kernel"));
  FL_TRY(const auto busybox, lock.only("busybox"));
  say(options, "fetching " + kernel.name + " " + kernel.version);
  FL_TRY_STATUS(store.unpack(kernel, scratch + "/kernel.d"));
  FL_TRY_STATUS(store.unpack(busybox, scratch + "/busybox.d"));
  say(options, "unpacking the kernel");
  FL_TRY(const std::string vmlinuz, only_entry(scratch + "/kernel.d/boot", "vmlinuz-"));
  FL_TRY_STATUS(unpack_kernel(vmlinuz, scratch + "/out/kernel"));
  FL_TRY(const std::string tree, only_entry(scratch + "/kernel.d/lib/modules", ""));
  FL_TRY(const auto modules, module_set(tree, kAtBoot, kOnDemand));
  FL_TRY(const std::string initramfs,
         make_initramfs(options.agent, scratch + "/busybox.d/bin/busybox", modules));
  return base::write_file_atomic(scratch + "/out/initramfs", initramfs);
}

base::Status make_uml_image(const PackageStore& store, const PackageLock& lock,
                            const ImageOptions& options, const std::string& scratch) {
  FL_TRY(const auto uml, lock.only("uml"));
  FL_TRY(const auto busybox, lock.only("busybox"));
  say(options, "fetching " + uml.name + " " + uml.version);
  FL_TRY_STATUS(store.unpack(uml, scratch + "/uml.d"));
  FL_TRY_STATUS(store.unpack(busybox, scratch + "/busybox.d"));
  std::error_code error;
  std::filesystem::rename(scratch + "/uml.d/usr/bin/linux.uml", scratch + "/out/kernel", error);
  if (error) return base::fail_errno(error.value(), "take linux.uml out of " + uml.name);
  FL_TRY(const std::string initramfs,
         make_initramfs(options.agent, scratch + "/busybox.d/bin/busybox", {}));
  return base::write_file_atomic(scratch + "/out/initramfs", initramfs);
}

// Puts a finished folder in its place; one that stands there already is as good.
base::Status settle(const std::string& made, const std::string& place) {
  FL_TRY_STATUS(make_folders(std::filesystem::path(place).parent_path().string()));
  if (::rename(made.c_str(), place.c_str()) == 0) return {};
  if (errno == EEXIST || errno == ENOTEMPTY) return {};
  return base::fail_errno(errno, "keep " + place);
}

// The headers' packages point at /usr/src and /usr/lib; here they lie elsewhere.
base::Status mend_headers(const std::string& root, const std::string& place) {
  const std::string sources = root + "/usr/src";
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(sources, error)) {
    const std::string makefile = entry.path().string() + "/Makefile";
    const auto text = base::read_file(makefile, kMostFileBytes);
    constexpr std::string_view kStart = "include /usr/src/";
    if (!text || !text->starts_with(kStart)) continue;
    const std::string mended = "include " + place + "/usr/src/" + text->substr(kStart.size());
    FL_TRY_STATUS(base::write_file_atomic(makefile, mended));
  }
  return {};
}

// The kernel calls /sbin/modprobe for a module that somebody needs; that one looks for its files in
// /lib/modules/VERSION.
base::Status add_modules(CpioWriter& archive, const ModuleSet& modules) {
  for (const char* const folder : {"modules", "lib", "lib/modules", "sbin"}) {
    FL_TRY_STATUS(archive.add_folder(folder));
  }
  for (const Module& module : modules.all) {
    FL_TRY(const std::string object, base::read_file(module.path, kMostFileBytes));
    FL_TRY_STATUS(archive.add_file("modules/" + module.name + ".ko", object));
  }
  std::string order;
  for (const Module& module : modules.at_boot) order += module.name + ".ko\n";
  FL_TRY_STATUS(archive.add_file("modules/order", order));
  FL_TRY_STATUS(archive.add_file("modules/modules.dep", modules.dependencies));
  FL_TRY_STATUS(archive.add_file("modules/modules.alias", modules.aliases));
  FL_TRY_STATUS(archive.add_link("lib/modules/" + modules.version, "/modules"));
  return archive.add_link("sbin/modprobe", "../bin/busybox");
}

}  // namespace

std::string_view name(ImageKind kind) noexcept { return kind == ImageKind::kUml ? "uml" : "qemu"; }

base::Result<std::string> find_agent() {
  if (const char* const named = std::getenv("FAIRLEAD_AGENT")) return std::string(named);
  std::error_code error;
  const auto here = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* const place : {"fairlead-agent", "../libexec/fairlead/fairlead-agent"}) {
    std::string path = (here / place).lexically_normal().string();
    if (::access(path.c_str(), R_OK) == 0) return path;
  }
  return base::fail(base::Error(ErrorKind::kNotFound, "the guests' agent is not beside " +
                                                          here.string() + "/fairlead-guest")
                        .advise("set FAIRLEAD_AGENT to the program fairlead-agent"));
}

base::Result<std::string> make_initramfs(const std::string& agent, const std::string& busybox,
                                         const ModuleSet& modules) {
  CpioWriter archive;
  FL_TRY(const std::string init, base::read_file(agent, kMostFileBytes));
  FL_TRY(const std::string shell, base::read_file(busybox, kMostFileBytes));
  for (const char* const folder : {"bin", "dev", "proc", "sys", "tmp"}) {
    FL_TRY_STATUS(archive.add_folder(folder));
  }
  FL_TRY_STATUS(archive.add_file("init", init, 0755));
  FL_TRY_STATUS(archive.add_file("bin/busybox", shell, 0755));
  FL_TRY_STATUS(archive.add_link("bin/sh", "busybox"));
  if (modules.empty()) return archive.finish();
  FL_TRY_STATUS(add_modules(archive, modules));
  return archive.finish();
}

base::Result<Image> build_image(ImageKind kind, const PackageLock& lock,
                                const ImageOptions& options) {
  FL_TRY(const ScratchFolder scratch, ScratchFolder::make(options.cache));
  const auto packages = parts(kind, lock);
  FL_TRY(const std::string key, key_of(name(kind), packages, options.agent, scratch.path()));
  const std::string place = fmt::format("{}/images/{}", options.cache, key);
  Image image{place + "/kernel", place + "/initramfs", key,
              packages.empty() ? std::string() : packages.front().version, false};
  if (::access(image.initramfs.c_str(), R_OK) == 0) return image;
  FL_TRY_STATUS(make_folders(scratch.path() + "/out"));
  const PackageStore store(options.cache);
  FL_TRY_STATUS(kind == ImageKind::kUml ? make_uml_image(store, lock, options, scratch.path())
                                        : make_qemu_image(store, lock, options, scratch.path()));
  FL_TRY_STATUS(settle(scratch.path() + "/out", place));
  image.fresh = true;
  return image;
}

base::Result<std::string> build_headers(const PackageLock& lock, const ImageOptions& options) {
  FL_TRY(const ScratchFolder scratch, ScratchFolder::make(options.cache));
  const auto packages = lock.of("headers");
  if (packages.empty()) {
    return base::fail(base::Error(ErrorKind::kNotFound, "the lock names no headers")
                          .advise("fairlead guest lock"));
  }
  FL_TRY(const std::string key, key_of("headers", packages, "", scratch.path()));
  std::string place = fmt::format("{}/headers/{}", options.cache, key);
  std::string sources = place + "/usr/src/" + packages.front().name;
  if (::access(sources.c_str(), R_OK) == 0) return sources;
  const PackageStore store(options.cache);
  for (const PinnedPackage& one : packages) {
    say(options, "fetching " + one.name + " " + one.version);
    FL_TRY_STATUS(store.unpack(one, scratch.path() + "/out"));
  }
  FL_TRY_STATUS(mend_headers(scratch.path() + "/out", place));
  FL_TRY_STATUS(settle(scratch.path() + "/out", place));
  return sources;
}

}  // namespace fairlead::guest
