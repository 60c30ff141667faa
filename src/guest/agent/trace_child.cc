// SPDX-License-Identifier: Apache-2.0
//
// What the tracer's process does: tracefs into the card, until SIGTERM.
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>

#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "guest/agent/shared_card.h"
#include "guest/agent/tracer.h"
#include "relay/producer.h"
#include "trace/kernel_source.h"

namespace fairlead::guest {
namespace {

constexpr const char* kTracefs = "/sys/kernel/tracing";
constexpr std::uint32_t kSubBufferBytes = 16'384;
constexpr std::chrono::microseconds kClockSpin(500);  // for the next question of a burst
constexpr std::chrono::milliseconds kDrain(500);  // for a host that still reads, at the end

// Records into a channel, and how many there was no room for.  The channel itself tells its reader
// where they are missing.
class RelaySink final : public trace::EventSink {
 public:
  explicit RelaySink(relay::Producer& to) : to_(to) {}

  void event(std::uint16_t, std::uint64_t stamp, const abi::BlockEvent& event) override {
    write(abi::TraceType::kBlock, stamp, event);
  }
  void loss(std::uint16_t, const abi::TraceLoss& loss) override {
    write(abi::TraceType::kLoss, loss.last_stamp, loss);
  }
  void name(const abi::TraceName& name) override {
    write(abi::TraceType::kName, relay::stamp(), name);
  }
  void device(const abi::TraceDevice& device) override {
    write(abi::TraceType::kDevice, relay::stamp(), device);
  }
  std::uint64_t lost() const { return lost_; }

 private:
  template <typename T>
  void write(abi::TraceType type, std::uint64_t stamp, const T& what) {
    static_assert(sizeof(abi::RelayRecord) + sizeof what == 64);
    const auto written = to_.write(static_cast<std::uint16_t>(type), stamp, &what, sizeof what);
    if (written != relay::Written::kDone) ++lost_;
  }

  relay::Producer& to_;
  std::uint64_t lost_ = 0;
};

// The largest of one stream that fits: a power of two of sub-buffers.
relay::ChannelOptions options_for(std::uint64_t bytes) {
  relay::ChannelOptions options;
  options.streams = 1;
  options.sub_buffer_bytes = kSubBufferBytes;
  options.sub_buffers = abi::kMaxSubBuffers;
  options.keep = true;  // the host may come when it has our answer
  while (relay::channel_bytes(options) > bytes && options.sub_buffers > abi::kMinSubBuffers) {
    options.sub_buffers /= 2;
  }
  return options;
}

// What an earlier channel has left: its magic number first, so that nobody takes it for the next.
void clear(const SharedCard& card) {
  std::atomic_ref<std::uint64_t> magic(*reinterpret_cast<std::uint64_t*>(card.data()));
  magic.store(0, std::memory_order_release);
  ::memset(card.data(), 0, std::min<std::uint64_t>(card.bytes(), 3 * abi::kRelayPageBytes));
}

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
  FL_TRY(const SharedCard card, SharedCard::open());
  clear(card);
  FL_TRY(auto producer,
         relay::Producer::open_in(card.data(), card.bytes(), options_for(card.bytes())));
  FL_TRY(auto source, open_source(command));
  RelaySink sink(producer);
  FL_TRY_STATUS(base::write_all(answers, "ok bytes=" + std::to_string(producer.bytes()) + "\n"));
  while (!told(end, command.pause_us)) {
    producer.answer_clock(kClockSpin);
    FL_TRY(const std::uint64_t events, source.drain(sink));
    (void)events;
  }
  FL_TRY_STATUS(source.close(sink));
  FL_TRY(const bool all_read, producer.close(kDrain));
  (void)all_read;
  return TraceSums{source.events(), source.lost(), source.unreadable(), sink.lost()};
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
