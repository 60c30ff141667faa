// SPDX-License-Identifier: Apache-2.0
#include "guest/guest_trace.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <future>
#include <utility>

#include "base/clock.h"
#include "base/fd.h"
#include "guest/agent_client.h"
#include "guest/domain_xml.h"
#include "guest/lab_names.h"
#include "relay/consumer.h"
#include "trace/relay_source.h"

namespace fairlead::guest {
namespace {

using base::ErrorKind;

constexpr std::int64_t kAnswerNs = 10 * base::kNanosPerSecond;

// A card's memory, which QEMU holds and could shorten; QEMU is this user's own.
class CardMemory {
 public:
  static base::Result<CardMemory> map(const std::string& path) {
    const base::Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!file) return base::fail_errno(errno, "open a card's memory, " + path);
    struct stat status{};
    if (::fstat(file.get(), &status) != 0) return base::fail_errno(errno, "look at " + path);
    const auto bytes = static_cast<std::size_t>(status.st_size);
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (at == MAP_FAILED) return base::fail_errno(errno, "map " + path);
    return CardMemory(static_cast<std::byte*>(at), bytes);
  }
  CardMemory(CardMemory&& other) noexcept
      : at_(std::exchange(other.at_, nullptr)), bytes_(other.bytes_) {}
  CardMemory& operator=(CardMemory&&) = delete;
  ~CardMemory() {
    if (at_ != nullptr) ::munmap(at_, bytes_);
  }

  std::byte* data() const noexcept { return at_; }
  std::size_t size() const noexcept { return bytes_; }

 private:
  CardMemory(std::byte* at, std::size_t bytes) : at_(at), bytes_(bytes) {}

  std::byte* at_;
  std::size_t bytes_;
};

base::Status ask(const std::string& socket, std::string_view words) {
  FL_TRY(auto agent, AgentClient::connect(socket));
  FL_TRY_STATUS(agent.ask(words, kAnswerNs));
  return {};
}

class GuestTrace final : public trace::LiveSource {
 public:
  GuestTrace(std::string socket, CardMemory memory, std::unique_ptr<trace::RelaySource> channel)
      : socket_(std::move(socket)), memory_(std::move(memory)), channel_(std::move(channel)) {}
  ~GuestTrace() override {
    if (tracing_) (void)ask(socket_, "trace stop");
  }

  void introduce(trace::TraceFileWriter& file) override { channel_->introduce(file); }
  base::Result<bool> poll(trace::TraceFileWriter& file) override { return channel_->poll(file); }

  // The agent waits for its last records to be read, and we for its answer.
  base::Status finish(trace::TraceFileWriter& file) override {
    channel_->measure_clock(file);
    tracing_ = false;
    auto stopped = std::async(std::launch::async, [this] { return ask(socket_, "trace stop"); });
    while (stopped.wait_for(std::chrono::milliseconds(2)) != std::future_status::ready) {
      FL_TRY_STATUS(channel_->poll(file));
    }
    FL_TRY_STATUS(channel_->finish(file));
    return stopped.get();
  }

 private:
  std::string socket_;
  CardMemory memory_;  // outlives the channel
  std::unique_ptr<trace::RelaySource> channel_;
  bool tracing_ = true;
};

base::Result<std::unique_ptr<trace::LiveSource>> start(const std::string& socket,
                                                       const std::string& card,
                                                       const std::string& name) {
  FL_TRY(CardMemory memory, CardMemory::map(card));
  FL_TRY_STATUS(ask(socket, "trace start"));
  auto consumer = relay::Consumer::connect_in(memory.data(), memory.size());
  auto channel = consumer ? trace::RelaySource::make(trace::SourceKind::kGuest, name,
                                                     std::move(*consumer), false)
                          : base::fail(std::move(consumer).error());
  if (!channel) {
    (void)ask(socket, "trace stop");
    return base::fail(std::move(channel).error());
  }
  return std::make_unique<GuestTrace>(socket, std::move(memory), std::move(*channel));
}

}  // namespace

base::Result<std::unique_ptr<trace::LiveSource>> trace_guest(const std::string& folder,
                                                             const std::string& name) {
  const std::string socket = folder + "/" + name + ".agent";
  const std::string card = relay_file(relay_name(folder, name));
  struct stat status{};
  if (name.find('/') != std::string::npos || ::stat(socket.c_str(), &status) != 0) {
    return base::fail(base::Error(ErrorKind::kNotFound, "no guest " + name + " of the lab runs")
                          .advise("fairlead lab up --relay 4M --disk; fairlead lab ls"));
  }
  if (::stat(card.c_str(), &status) != 0) {
    return base::fail(base::Error(ErrorKind::kNotFound, "the guest " + name + " has no relay card")
                          .advise("start it with: fairlead lab up --relay 4M"));
  }
  auto source = start(socket, card, name);
  if (!source) return base::fail(std::move(source).error().at("trace the guest " + name));
  return source;
}

}  // namespace fairlead::guest
