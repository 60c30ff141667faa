// SPDX-License-Identifier: Apache-2.0
//
// The records of blktrace, version 7 (linux/blktrace_api.h), and what follows one: its pdu.
//
//   0      4         8        16        24     28      32   36      40   44     46        48
//   +------+---------+--------+---------+------+-------+----+-------+----+------+---------+------
//   | magic| sequence| time   | sector  | bytes| action| pid| device| cpu| error| pdu     | pdu …
//   +------+---------+--------+---------+------+-------+----+-------+----+------+---------+------
//
// Records are in the byte order of the machine, the numbers in pdus big-endian.
//
// First in a pdu is what the kernel writes there: of a remap device, device and sector, of a split
// or an unplug one number.  Ours add what else an event holds, if there is anything:
//
//   nothing | request (8 bytes) | request, aux (8 each), cpu, queue, vm, 0 (2 each): 24 bytes
//
// Trust: none; what is read is copied and held against the bounds of its file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "fairlead/abi/trace.h"

namespace fairlead::trace {

struct BlktraceRecord {
  std::uint32_t magic;
  std::uint32_t sequence;  // of one processor and one device, from 1; notify records have none
  std::uint64_t time_ns;
  std::uint64_t sector;
  std::uint32_t bytes;
  std::uint32_t action;
  std::uint32_t pid;
  std::uint32_t device;
  std::uint32_t cpu;
  std::uint16_t error;
  std::uint16_t pdu_bytes;
};
static_assert(sizeof(BlktraceRecord) == 48);
static_assert(std::has_unique_object_representations_v<BlktraceRecord>);

constexpr std::uint32_t kBlktraceMagic = 0x65617400;  // the low byte is the version
constexpr std::uint32_t kBlktraceVersion = 7;

// Notify records: about the trace, no events.
constexpr std::uint32_t kNotifyCategory = std::uint32_t{1} << (16 + 10);
constexpr std::uint32_t kNotifyProcess = kNotifyCategory | 0;  // the name of `pid`
constexpr std::uint32_t kNotifyTime = kNotifyCategory | 1;     // wall clock: seconds, ns
constexpr std::uint32_t kNotifyMessage = kNotifyCategory | 2;  // text
constexpr std::int64_t kWallNsPerS = 1'000'000'000;
constexpr std::uint32_t kProcessNameBytes = 16;  // with its zero

// As much of a name as fits into its record: the tools copy 16 bytes into 16 bytes, and print them.
std::string process_record_name(std::string_view name);

// In front of a pdu stand 8 bytes more: of what control group.
constexpr std::uint32_t kCgroupAct = 1 << 8;

constexpr std::uint32_t kShortExtra = 8;
constexpr std::uint32_t kLongExtra = 24;

// Numbers of acts that abi::BlockAct leaves out, as no source of ours has them.
constexpr std::uint32_t kUnplugTimerAct = 11;

// Bytes of what the kernel itself writes.
constexpr std::uint32_t standard_pdu_bytes(std::uint32_t act) noexcept {
  switch (act) {
    case std::uint32_t(abi::BlockAct::kRemap): return 16;
    case std::uint32_t(abi::BlockAct::kSplit):
    case std::uint32_t(abi::BlockAct::kUnplug):
    case kUnplugTimerAct: return 8;
    default: return 0;
  }
}

}  // namespace fairlead::trace
