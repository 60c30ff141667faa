// SPDX-License-Identifier: Apache-2.0
#include "guest/accel.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/file.h"
#include "guest/agent_protocol.h"
#include "guest/subprocess.h"

namespace fairlead::guest {
namespace {

constexpr const char* kQemu = "qemu-system-x86_64";
constexpr std::int64_t kProbeNs = 10 * base::kNanosPerSecond;

// What the answer depends on, in one line.
base::Result<std::string> circumstances() {
  FL_TRY(std::string boot, base::read_file("/proc/sys/kernel/random/boot_id", 100));
  FL_TRY(const std::string qemu, run_tool({kQemu, "--version"}));
  if (boot.ends_with('\n')) boot.pop_back();
  utsname system{};
  ::uname(&system);
  return fmt::format("{} {} {}", boot, system.release, qemu.substr(0, qemu.find('\n')));
}

AccelAnswer try_kvm(const Image& image) {
  const auto out = run_tool({kQemu,
                             "-nodefaults",
                             "-no-user-config",
                             "-display",
                             "none",
                             "-no-reboot",
                             "-machine",
                             "pc,accel=kvm",
                             "-m",
                             "128",
                             "-kernel",
                             image.kernel,
                             "-initrd",
                             image.initramfs,
                             "-append",
                             kernel_arguments("panic=-1 fairlead.seconds=0"),
                             "-serial",
                             "stdio",
                             "-device",
                             "virtio-serial-pci",
                             "-chardev",
                             "null,id=agent",
                             "-device",
                             fmt::format("virtserialport,chardev=agent,name={}", kAgentPort)},
                            {.timeout_ns = kProbeNs});
  if (!out) return {Accel::kTcg, "a guest under KVM: " + out.error().message()};
  if (!out->contains("fairlead-agent: ready"))
    return {Accel::kTcg, "a guest under KVM did not boot"};
  return {Accel::kKvm, "a guest under KVM booted"};
}

}  // namespace

base::Result<AccelAnswer> prove_accel(const std::string& cache, const Image& image) {
  if (::access("/dev/kvm", R_OK | W_OK) != 0) return AccelAnswer{Accel::kTcg, "no /dev/kvm for us"};
  FL_TRY(const std::string here, circumstances());
  const std::string path = cache + "/accel";
  if (const auto kept = base::read_file(path, 4096)) {
    for (const Accel accel : {Accel::kKvm, Accel::kTcg}) {
      const std::string start = fmt::format("{}\n{} ", here, name(accel));
      if (!kept->starts_with(start)) continue;
      return AccelAnswer{accel, kept->substr(start.size()), true};
    }
  }
  AccelAnswer answer = try_kvm(image);
  FL_TRY_STATUS(base::write_file_atomic(
      path, fmt::format("{}\n{} {}", here, name(answer.accel), answer.why)));
  return answer;
}

}  // namespace fairlead::guest
