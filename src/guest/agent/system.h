// SPDX-License-Identifier: Apache-2.0
//
// What pid 1 has to do before and beside the loads: mounts, modules, the port, a shell on the
// console, figures from /proc.
//
// Thread-safety: none; the agent's one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "guest/agent_protocol.h"

namespace fairlead::guest {

// /proc, /sys, /dev, and the modules that /modules/order lists, in that order.
void prepare_system();

// The device of the virtio-serial port of that name, opened; -1 if it has not come in time.
int open_port(const char* name, std::int64_t patience_ns);

// A signalfd of SIGCHLD and SIGIO, which this process from now on blocks.
int open_signals();

// A child that gives whoever presses Enter on the console a shell, again and again.
void offer_shell();

// The whole of a small file, cut to `size` - 1 bytes and ended by a zero; the length.
std::size_t read_small(const char* path, char* out, std::size_t size);

// The value of "name=…" on the kernel's command line; empty if it is not there.
std::string_view kernel_argument(std::string_view command_line, std::string_view name);

std::uint64_t uptime_ms();
void fill_memory(Report& report);

}  // namespace fairlead::guest
