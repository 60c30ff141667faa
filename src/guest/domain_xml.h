// SPDX-License-Identifier: Apache-2.0
//
// The libvirt domain of one lab guest, and the mark by which the lab knows its own again.
//
// Thread-safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::guest {

enum class Accel : std::uint8_t { kTcg, kKvm };
std::string_view name(Accel accel) noexcept;

struct DomainSpec {
  std::string name;
  Accel accel = Accel::kTcg;
  std::uint32_t vcpus = 1;
  std::uint64_t memory_mib = 512;    // that it starts with
  std::uint64_t max_mib = 2048;      // that its balloon can grow to
  std::optional<std::uint32_t> pin;  // pCPU of all its vCPUs
  std::uint32_t stats_period_s = 1;  // 0: no balloon statistics
  std::string kernel;                // absolute paths, here and below
  std::string initramfs;
  std::string arguments;  // of the kernel, beyond ours
  std::string agent_socket;
  std::string command_socket;
  std::string trace_socket;
  std::string console_log;
  std::string disk;               // read-only; empty: none
  bool disk_is_device = false;    // a block device of the host, not a file
  std::string relay;              // name of the memory of its ivshmem card; empty: no card
  std::uint64_t relay_bytes = 0;  // power of two, at least kLeastRelayBytes
  std::uint32_t user = 0;         // that QEMU runs as; only where libvirt is privileged
  std::uint32_t group = 0;
  bool privileged = true;
};

// Bounds of the memory of a card.
inline constexpr std::uint64_t kLeastRelayBytes = 1 << 20;
inline constexpr std::uint64_t kMostRelayBytes = 1 << 30;

std::string domain_xml(const DomainSpec& spec);

// The file that QEMU makes for a card's memory of that name.
std::string relay_file(std::string_view name);

// Text as XML content or attribute; control characters, which XML cannot hold, become '?'.
std::string escape_xml(std::string_view text);
std::string unescape_xml(std::string_view text);

// The namespace of the mark in <metadata>, and what stands in it.
inline constexpr const char* kLabNamespace = "https://fairlead.dev/lab/1";
struct LabMark {
  std::string agent_socket;
  std::string console_log;
  std::string relay;  // file with the memory of its ivshmem card; empty: it has none
  // Empty: of a lab that gave its guests none.
  std::string trace_socket;
  std::string command_socket;

  bool operator==(const LabMark&) const = default;
};
std::string mark_xml(const LabMark& mark);
// From what virDomainGetMetadata returns; nullopt if it is none of ours.
std::optional<LabMark> parse_mark(std::string_view xml);

// The kernel's command line: quiet, and nothing that costs time and shows nothing.
std::string kernel_arguments(std::string_view more);

}  // namespace fairlead::guest
