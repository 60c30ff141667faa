// SPDX-License-Identifier: Apache-2.0
#include "guest/guest_trace.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/fd.h"
#include "daemon/lock_file.h"
#include "guest/agent_client.h"
#include "guest/domain_xml.h"
#include "guest/lab_names.h"
#include "relay/consumer.h"
#include "trace/port_source.h"
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
  struct Parts {
    std::string name;                            // the guest's
    std::string socket;                          // the agent's
    daemon::LockFile lock;                       // one recorder at a time
    std::optional<CardMemory> memory;            // outlives the channel
    std::unique_ptr<trace::LiveSource> channel;  // through the card or the port
  };
  explicit GuestTrace(Parts parts) : parts_(std::move(parts)) {}
  ~GuestTrace() override {
    if (tracing_) (void)ask(parts_.socket, "trace stop");
  }

  void introduce(trace::TraceFileWriter& file) override { parts_.channel->introduce(file); }
  base::Result<bool> poll(trace::TraceFileWriter& file) override {
    return parts_.channel->poll(file);
  }

  // The agent waits for its last records to be read, and we for its answer.
  base::Status finish(trace::TraceFileWriter& file) override {
    FL_TRY_STATUS(parts_.channel->poll(file));  // the clock's last measurement
    tracing_ = false;
    if (!port_is_served(parts_.socket)) {
      FL_TRY_STATUS(parts_.channel->finish(file));
      return base::fail(ErrorKind::kClosed, "the guest " + parts_.name +
                                                " ended meanwhile; what came from it is recorded");
    }
    auto stopped =
        std::async(std::launch::async, [this] { return ask(parts_.socket, "trace stop"); });
    while (stopped.wait_for(std::chrono::milliseconds(2)) != std::future_status::ready) {
      FL_TRY_STATUS(parts_.channel->poll(file));
    }
    FL_TRY_STATUS(parts_.channel->finish(file));
    return stopped.get();
  }

 private:
  Parts parts_;
  bool tracing_ = true;
};

base::Result<daemon::LockFile> lock(const std::string& path) {
  FL_TRY(auto lock, daemon::LockFile::take(path));
  FL_TRY_STATUS(lock.claim());
  return lock;
}

// A recorder that was killed has left the guest tracing for nobody: with the lock in our hands, it
// may be ended.
base::Status end_what_is_left(const std::string& socket) {
  auto ended = ask(socket, "trace stop");
  if (ended || ended.error().kind() == ErrorKind::kInvalid) return {};  // nothing was being traced
  return ended;
}

base::Status start_by_card(GuestTrace::Parts& parts, const std::string& card,
                           const std::string& name) {
  FL_TRY(CardMemory memory, CardMemory::map(card));
  parts.memory.emplace(std::move(memory));
  FL_TRY_STATUS(ask(parts.socket, "trace start"));
  auto consumer = relay::Consumer::connect_in(parts.memory->data(), parts.memory->size());
  const auto lives = [socket = parts.socket] { return port_is_served(socket); };
  auto channel = consumer ? trace::RelaySource::make(trace::SourceKind::kGuest, name,
                                                     std::move(*consumer), false, lives)
                          : base::fail(std::move(consumer).error());
  if (!channel) {
    (void)ask(parts.socket, "trace stop");
    return base::fail(std::move(channel).error());
  }
  parts.channel = *std::move(channel);
  return {};
}

base::Status start_by_port(GuestTrace::Parts& parts, const std::string& port,
                           const std::string& name) {
  std::uint64_t session = 0;
  if (::getrandom(&session, sizeof session, 0) != sizeof session) {
    return base::fail_errno(errno, "make a number for the trace");
  }
  session |= 1;  // 0 is none
  FL_TRY(base::Fd socket, connect_to_port(port));
  FL_TRY_STATUS(ask(parts.socket, "trace start port=" + std::to_string(session)));
  parts.channel = std::make_unique<trace::PortSource>(name, std::move(socket), session);
  return {};
}

bool is_there(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0;
}

base::Result<std::unique_ptr<trace::LiveSource>> start(const std::string& place,
                                                       const std::string& card,
                                                       const std::string& name) {
  FL_TRY(daemon::LockFile held, lock(place + ".lock"));
  GuestTrace::Parts parts{name, place + ".agent", std::move(held), std::nullopt, nullptr};
  FL_TRY_STATUS(end_what_is_left(parts.socket));
  FL_TRY_STATUS(is_there(card) ? start_by_card(parts, card, name)
                               : start_by_port(parts, place + ".port", name));
  return std::make_unique<GuestTrace>(std::move(parts));
}

}  // namespace

base::Result<std::unique_ptr<trace::LiveSource>> trace_guest(const std::string& folder,
                                                             const std::string& name) {
  const std::string place = folder + "/" + name;
  const std::string card = relay_file(relay_name(folder, name));
  if (name.find('/') != std::string::npos || !is_there(place + ".agent")) {
    return base::fail(base::Error(ErrorKind::kNotFound, "no guest " + name + " of the lab runs")
                          .advise("fairlead lab up --disk; fairlead lab ls"));
  }
  if (!is_there(card) && !is_there(place + ".port")) {
    return base::fail(base::Error(ErrorKind::kNotFound,
                                  "the guest " + name + " has neither a relay card nor a port")
                          .advise("it is of an older lab: fairlead lab down; fairlead lab up"));
  }
  auto source = start(place, card, name);
  if (!source) return base::fail(std::move(source).error().at("trace the guest " + name));
  return source;
}

}  // namespace fairlead::guest
