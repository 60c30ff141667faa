// SPDX-License-Identifier: Apache-2.0
#include "apps/loop_device.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include <cerrno>

#include <fmt/format.h>

namespace fairlead::apps {
namespace {

constexpr int kTries = 16;  // others may take the number that we were given

}  // namespace

base::Result<LoopDevice> LoopDevice::attach(const std::string& file) {
  const base::Fd backing(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!backing) return base::fail_errno(errno, "open " + file);
  const base::Fd control(::open("/dev/loop-control", O_RDWR | O_CLOEXEC));
  if (!control) return base::fail_errno(errno, "open /dev/loop-control");
  loop_config config{};
  config.fd = static_cast<std::uint32_t>(backing.get());
  config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
  for (int i = 0; i < kTries; ++i) {
    const int number = ::ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return base::fail_errno(errno, "find a free loop device");
    std::string path = "/dev/loop" + std::to_string(number);
    base::Fd device(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!device) return base::fail_errno(errno, "open " + path);
    if (::ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) {
      return LoopDevice(std::move(device), std::move(path));
    }
    if (errno != EBUSY) return base::fail_errno(errno, fmt::format("make {} of {}", path, file));
  }
  return base::fail(base::ErrorKind::kBusy, "others take each free loop device first");
}

}  // namespace fairlead::apps
