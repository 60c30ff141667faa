// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include "base/file.h"
#include "guest/image.h"
#include "guest/subprocess.h"

namespace fairlead::guest {
namespace {

using base::ErrorKind;

constexpr std::size_t kMostKernelBytes = 256 << 20;

struct Packer {
  std::string_view magic;
  const char* program;
};
constexpr Packer kPackers[] = {{{"\x02\x21\x4c\x18", 4}, "lz4"},
                               {{"\x28\xb5\x2f\xfd", 4}, "zstd"},
                               {{"\xfd\x37\x7a\x58\x5a", 5}, "xz"},
                               {{"\x1f\x8b", 2}, "gzip"}};

template <typename T>
T at(std::string_view bytes, std::size_t offset) {
  T value{};
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// Offsets of the setup header, boot protocol 2.08 and later.
base::Result<std::string_view> payload(std::string_view kernel) {
  constexpr std::size_t kHeaderEnd = 0x250;
  if (kernel.size() < kHeaderEnd || kernel.substr(0x202, 4) != "HdrS") {
    return base::fail(ErrorKind::kCorrupt, "not a Linux kernel");
  }
  if (at<std::uint16_t>(kernel, 0x206) < 0x208) {
    return base::fail(ErrorKind::kUnsupported, "a kernel of before 2008");
  }
  const std::size_t start =
      (at<std::uint8_t>(kernel, 0x1f1) + std::size_t{1}) * 512 + at<std::uint32_t>(kernel, 0x248);
  const std::size_t size = at<std::uint32_t>(kernel, 0x24c);
  if (start > kernel.size() || size > kernel.size() - start) {
    return base::fail(ErrorKind::kCorrupt, "a kernel that ends too early");
  }
  return kernel.substr(start, size);
}

}  // namespace

base::Status unpack_kernel(const std::string& vmlinuz, const std::string& to) {
  FL_TRY(const std::string kernel, base::read_file(vmlinuz, kMostKernelBytes));
  auto packed = payload(kernel);
  if (!packed) return base::fail(std::move(packed).error().at(vmlinuz));
  for (const Packer& packer : kPackers) {
    if (!packed->starts_with(packer.magic)) continue;
    // The last four bytes are the unpacked size, which is no part of the stream.
    packed->remove_suffix(packer.magic.size() == 2 ? 0 : 4);
    FL_TRY_STATUS(base::write_file_atomic(to + ".packed", *packed));
    auto done = run_tool({packer.program, "-dc"}, {.output = to, .input = to + ".packed"});
    std::remove((to + ".packed").c_str());
    if (done) return {};
    const bool missing = done.error().kind() == ErrorKind::kNotFound;
    auto error = std::move(done).error().at("unpack " + vmlinuz);
    if (!missing) return base::fail(std::move(error));
    return base::fail(std::move(error).advise(fmt::format("apt-get install {}", packer.program)));
  }
  return base::fail(ErrorKind::kUnsupported, vmlinuz + ": packed in a way we do not know");
}

}  // namespace fairlead::guest
