// SPDX-License-Identifier: Apache-2.0
//
// What the tracer's process does: tracefs into the channel, until SIGTERM.
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/clock.h"
#include "base/file.h"
#include "guest/agent/trace_channel.h"
#include "guest/agent/tracer.h"
#include "trace/kernel_source.h"

namespace fairlead::guest {
namespace {

constexpr const char* kTracefs = "/sys/kernel/tracing";

base::Result<trace::KernelSource> open_source(const TraceCommand& command) {
  if (::mount("tracefs", kTracefs, "tracefs", 0, nullptr) != 0 && errno != EBUSY) {
    return base::fail_errno(errno, "mount tracefs");
  }
  trace::KernelOptions options;
  options.tracefs = kTracefs;
  options.buffer_kib = command.buffer_kib;
  for (std::size_t i = 0; i < command.disk_count; ++i) {
    FL_TRY(const std::uint32_t device,
           trace::device_number("/dev/" + std::string(command.disks[i])));
    options.devices.push_back(device);
  }
  return trace::KernelSource::open(options);
}

// Sleeps; true if SIGTERM has come.
bool told(const sigset_t& end, std::uint32_t pause_us) {
  const timespec pause{pause_us / 1'000'000, std::int64_t{pause_us % 1'000'000} * 1000};
  return ::sigtimedwait(&end, nullptr, &pause) == SIGTERM;
}

base::Result<TraceSums> trace(const TraceCommand& command, const sigset_t& end, int answers) {
  FL_TRY(const auto channel, command.port == 0 ? open_card_channel() : open_port_channel(command));
  FL_TRY(auto source, open_source(command));
  FL_TRY_STATUS(base::write_all(answers, "ok bytes=" + std::to_string(channel->bytes()) + "\n"));
  while (!told(end, command.pause_us)) {
    channel->serve();
    FL_TRY(const std::uint64_t events, source.drain(*channel));
    (void)events;
  }
  FL_TRY_STATUS(source.close(*channel));
  FL_TRY_STATUS(channel->close());
  return TraceSums{source.events(), source.lost(), source.unreadable(), channel->lost()};
}

}  // namespace

void trace_until_told(const TraceCommand& command, int answers) {
  sigset_t end;
  ::sigemptyset(&end);
  ::sigaddset(&end, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &end, nullptr);
  ::prctl(PR_SET_NAME, "fairlead-trace");
  const auto sums = trace(command, end, answers);
  char line[kLineBytes];
  int size = 0;
  if (sums) {
    char text[kLineBytes - 8];
    const std::size_t length = format_sums(*sums, text, sizeof text);
    size = std::snprintf(line, sizeof line, "ok %.*s\n", static_cast<int>(length), text);
  } else {
    size = std::snprintf(line, sizeof line, "error %.400s\n", sums.error().message().c_str());
  }
  (void)base::write_all(answers, {line, static_cast<std::size_t>(size)});
  ::_exit(0);
}

}  // namespace fairlead::guest
