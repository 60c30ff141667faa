// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/fd.h"
#include "guest/agent/system.h"
#include "guest/agent/trace_channel.h"
#include "relay/clock_sync.h"
#include "trace/port_frames.h"

namespace fairlead::guest {
namespace {

constexpr std::int64_t kPortPatienceNs = base::kNanosPerSecond;
constexpr int kMostQuestions = 64;  // in one turn: the kernel's buffers fill meanwhile
constexpr int kNextQuestionMs = 2;  // of a burst
constexpr int kDrainMs = 500;       // for a host that still reads, at the end
constexpr int kMostDrains = 64;

class PortChannel final : public TraceChannel {
 public:
  PortChannel(base::Fd port, std::uint64_t session, std::uint32_t frames)
      : port_(std::move(port)), queue_(session, frames) {}

  std::uint64_t bytes() const override { return queue_.bytes(); }
  std::uint64_t lost() const override { return queue_.lost() + unsent_; }

  void serve() override {
    flush();
    int asked = answer();
    while (asked > 0 && asked < kMostQuestions && await(POLLIN, kNextQuestionMs)) {
      const int more = answer();
      asked = more == 0 ? 0 : asked + more;
    }
  }

  base::Status close() override {
    queue_.end(relay::stamp());
    for (int i = 0; i < kMostDrains && !flush() && await(POLLOUT, kDrainMs); ++i) {
    }
    unsent_ = queue_.unsent();
    return {};
  }

 private:
  void write(abi::TraceType type, std::uint64_t stamp, const void* payload, std::size_t) override {
    queue_.write(type, stamp, payload);
  }

  // Whether the port has taken all.  It takes nothing while no host is connected.
  bool flush() {
    while (true) {
      const auto next = queue_.front();
      if (next.empty()) return true;
      const ssize_t took = ::write(port_.get(), next.data(), next.size());
      if (took <= 0) return false;
      queue_.sent(static_cast<std::size_t>(took));
    }
  }

  // Whether the port is ready for that; false also if no host is connected.
  bool await(short events, int patience_ms) const {
    pollfd one{port_.get(), events, 0};
    return ::poll(&one, 1, patience_ms) > 0 && (one.revents & events) != 0;
  }

  // How many questions there were.
  int answer() {
    std::array<std::byte, sizeof(abi::PortQuestion)> bytes;
    int count = 0;
    while (count < kMostQuestions) {
      const ssize_t got = ::read(port_.get(), bytes.data(), bytes.size());
      if (got <= 0) return count;
      const std::uint64_t read_at = relay::ordered_stamp();
      for (auto rest = std::span(std::as_const(bytes)).first(static_cast<std::size_t>(got));
           !rest.empty();) {
        rest = rest.subspan(questions_.push(rest));
        const auto round = questions_.next();
        if (!round) continue;
        ++count;
        queue_.answer(*round, read_at);
        flush();
      }
    }
    return count;
  }

  base::Fd port_;
  trace::PortQueue queue_;
  trace::PortQuestions questions_;
  std::uint64_t unsent_ = 0;
};

}  // namespace

base::Result<std::unique_ptr<TraceChannel>> open_port_channel(const TraceCommand& command) {
  base::Fd port(open_port(kTracePort, kPortPatienceNs));
  if (!port) {
    return base::fail_errno(errno, std::string("open the port ") + kTracePort + " of this guest");
  }
  return std::make_unique<PortChannel>(
      std::move(port), command.port,
      command.queue_kib * 1024 / static_cast<std::uint32_t>(trace::kPortFrameBytes));
}

}  // namespace fairlead::guest
