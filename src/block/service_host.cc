// SPDX-License-Identifier: Apache-2.0
#include "block/service_host.h"

#include <poll.h>
#include <pthread.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <future>
#include <mutex>
#include <new>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/units.h"
#include "block/client_port.h"
#include "shm/peer_acceptor.h"
#include "shm/ring_segment.h"

namespace fairlead::block {

using base::ErrorKind;

namespace {

constexpr std::uint32_t kSpareConnections = 64;  // for questions and half-done handshakes

std::uint64_t fresh_generation() noexcept {
  std::uint64_t value = 0;
  if (::getrandom(&value, sizeof value, 0) != sizeof value) {
    value = static_cast<std::uint64_t>(base::monotonic_ns());
  }
  return value | 1;
}

base::Error no_memory(const ServiceLimits& limits) {
  return base::Error(ErrorKind::kLimit,
                     "no memory for a cache of " + base::format_bytes(limits.cache_bytes) +
                         " and the bookkeeping of " + std::to_string(limits.clients) +
                         " clients with " + std::to_string(limits.slots) + " requests each")
      .advise("lower the cache or these limits");
}

// The ring, and what a port and the kernel keep besides.
std::uint64_t client_bytes(const shm::RingSizes& sizes) noexcept {
  constexpr std::uint64_t kOfSlot = 3 * sizeof(abi::BlockRequest) + sizeof(std::int64_t);
  constexpr std::uint64_t kOfClient = std::uint64_t{16} * 1024;
  return shm::ring_segment_bytes(sizes) + sizes.slot_count * kOfSlot + kOfClient;
}

// Of two waits, negative: for ever.
std::int64_t sooner(std::int64_t one_ns, std::int64_t other_ns) noexcept {
  if (one_ns < 0 || other_ns < 0) return std::max(one_ns, other_ns);
  return std::min(one_ns, other_ns);
}

const char* describe(ImageChange change) noexcept {
  switch (change) {
    case ImageChange::kContent: return "the image was written by another program; cache dropped";
    case ImageChange::kSize:
      return "the image changed its size; its geometry stays until restart, cache dropped";
    case ImageChange::kReplaced:
      return "the image's path names another file now; the one opened at start is served";
    case ImageChange::kNone: break;
  }
  return "the image is unchanged";
}

}  // namespace

// The control thread's work: admits clients, passes their ends on to the service.
class ServiceHost::Desk final : public shm::RegistrationHandler {
 public:
  Desk(Image image, HostOptions options, const base::Clock& clock)
      : options_(std::move(options)),
        clock_(clock),
        service_(std::move(image), options_.limits, clock,
                 {.fault = [this](const Service::Fault& fault) { ended(fault); },
                  .image_changed = [this](ImageChange change) { noticed(change); }},
                 options_.trace) {}

  base::Status listen();
  base::Result<HostEnd> serve();
  void stop() { service_.drain(); }
  void look() { service_.look(); }

  base::Result<shm::Admission> on_hello(const shm::PeerIdentity& peer,
                                        const abi::ControlHello& hello) override;
  void on_hangup(std::uint32_t client) override;
  void on_fault(const shm::PeerFault& fault) override;
  std::string on_status() override;
  void on_stop(shm::SendReport send) override;

 private:
  base::Status start_service();
  void run_service(std::promise<base::Status>& started);
  base::Status control();
  base::Status room_for(const shm::PeerIdentity& peer, std::uint64_t bytes) const;
  base::Result<shm::Admission> admit(ClientIdentity identity, const shm::RingSizes& sizes);
  void ended(const Service::Fault& fault);
  void noticed(ImageChange change);
  void tell_news();
  std::int64_t until_beat_ns() const noexcept;
  void beat();
  void say(std::string_view key, std::string_view text) const {
    if (options_.log) options_.log(key, text);
  }

  const HostOptions options_;
  const base::Clock& clock_;
  Service service_;
  std::unique_ptr<shm::PeerAcceptor> acceptor_;
  const std::uint64_t generation_ = fresh_generation();

  // Belong to the control thread.
  struct Member {
    uid_t uid = 0;
    std::uint64_t bytes = 0;
  };
  std::uint32_t next_client_ = 1;
  std::unordered_map<std::uint32_t, Member> members_;  // by number
  std::uint64_t member_bytes_ = 0;
  base::Fd segment_;   // of the client being welcomed
  base::Fd doorbell_;  // likewise
  std::int64_t next_beat_ns_ = 0;
  std::uint64_t nudged_ = 0;  // at the last beat

  // What the service thread has to tell: it must not wait for whoever reads the log.  At most one
  // fault of each client and one of each change wait.
  std::mutex news_mutex_;
  std::vector<Service::Fault> faults_;
  std::vector<ImageChange> changes_;

  // Who asked to stop waits for the final report.
  std::mutex askers_mutex_;
  std::vector<shm::SendReport> askers_;
  std::string final_report_;

  // Written by the service thread before it ends.
  RunEnd how_ = RunEnd::kDrained;
};

base::Status ServiceHost::Desk::listen() {
  FL_TRY(shm::ControlListener listener, shm::ControlListener::bind(options_.socket_path));
  shm::AcceptorOptions acceptor;
  acceptor.connections = options_.limits.clients + kSpareConnections;
  acceptor.connections_per_uid = options_.clients_per_uid + kSpareConnections / 2;
  FL_TRY(acceptor_, shm::PeerAcceptor::create(std::move(listener), *this, clock_, acceptor));
  return {};
}

base::Result<HostEnd> ServiceHost::Desk::serve() {
  std::promise<base::Status> started;
  auto outcome = started.get_future();
  std::thread thread([&] { run_service(started); });
  ::pthread_setname_np(thread.native_handle(), "fl-service");
  base::Status status = outcome.get();
  if (status && options_.ready) {
    status = options_.ready();
    if (!status) service_.halt();
  }
  if (status) status = control();
  thread.join();
  if (!status) return base::fail(std::move(status).error());
  return HostEnd{how_, service_.stats()};
}

base::Status ServiceHost::Desk::start_service() {
  try {
    return service_.start();
  } catch (const std::bad_alloc&) {
    return base::fail(no_memory(options_.limits));
  }
}

void ServiceHost::Desk::run_service(std::promise<base::Status>& started) {
  base::Status status = start_service();
  const bool serves = status.has_value();
  started.set_value(std::move(status));
  if (!serves) return;
  how_ = service_.run();
  {
    const std::lock_guard lock(askers_mutex_);
    final_report_ = report(service_.stats());
    for (auto& send : askers_) send(final_report_);
    askers_.clear();
  }
  acceptor_->stop();
}

// Registration and signals until the service has ended.
base::Status ServiceHost::Desk::control() {
  std::array<pollfd, 2> files{pollfd{acceptor_->poll_fd(), POLLIN, 0},
                              pollfd{options_.signal_fd, POLLIN, 0}};
  next_beat_ns_ = base::monotonic_ns() + options_.beat_ns;
  nudged_ = service_.nudged();
  if (options_.beat_ns > 0) service_.nudge();
  for (;;) {
    const std::int64_t wait = sooner(acceptor_->wait_ns(), until_beat_ns());
    const timespec limit{wait / base::kNanosPerSecond, wait % base::kNanosPerSecond};
    if (::ppoll(files.data(), files.size(), wait < 0 ? nullptr : &limit, nullptr) < 0 &&
        errno != EINTR) {
      return base::fail_errno(errno, "wait for clients");
    }
    if (files[1].revents != 0 && options_.on_signal && options_.on_signal()) service_.drain();
    FL_TRY(const bool more, acceptor_->turn(0));
    tell_news();
    if (!more) return {};
    if (until_beat_ns() == 0) beat();
    // The client has its copies now; ours would keep its memory beyond its death.
    segment_.reset();
    doorbell_.reset();
  }
}

std::int64_t ServiceHost::Desk::until_beat_ns() const noexcept {
  if (options_.beat_ns <= 0) return -1;
  return std::max<std::int64_t>(next_beat_ns_ - base::monotonic_ns(), 0);
}

// By real time, whatever the clock is: so counts who listens.
void ServiceHost::Desk::beat() {
  next_beat_ns_ = base::monotonic_ns() + options_.beat_ns;
  const std::uint64_t nudged = service_.nudged();
  if (std::exchange(nudged_, nudged) == nudged) return;
  service_.nudge();
  if (options_.on_beat) options_.on_beat();
}

base::Result<shm::Admission> ServiceHost::Desk::on_hello(const shm::PeerIdentity& peer,
                                                         const abi::ControlHello& hello) {
  const shm::RingSizes wanted{hello.slots, sizeof(abi::BlockRequest), sizeof(abi::BlockResponse),
                              hello.data_bytes};
  const auto sizes = shm::clamp_sizes(wanted, options_.limits.slots, options_.limits.data_bytes);
  FL_TRY_STATUS(room_for(peer, client_bytes(sizes)));
  const std::uint32_t weight = std::min(hello.weight, options_.limits.weight);
  try {
    return admit({next_client_, weight, peer, hello.name}, sizes);
  } catch (const std::bad_alloc&) {
    return base::fail(ErrorKind::kLimit, "the service has no memory for another client");
  }
}

base::Status ServiceHost::Desk::room_for(const shm::PeerIdentity& peer, std::uint64_t bytes) const {
  if (members_.size() >= options_.limits.clients) {
    return base::fail(ErrorKind::kLimit, "the service is full: " + std::to_string(members_.size()) +
                                             " clients are connected");
  }
  const auto of_user = std::count_if(members_.begin(), members_.end(), [&](const auto& member) {
    return member.second.uid == peer.uid;
  });
  if (static_cast<std::uint32_t>(of_user) >= options_.clients_per_uid) {
    return base::fail(ErrorKind::kLimit, "the service is full: user " + std::to_string(peer.uid) +
                                             " has " + std::to_string(of_user) + " clients");
  }
  if (bytes > options_.client_bytes || member_bytes_ > options_.client_bytes - bytes) {
    return base::fail(
        ErrorKind::kLimit,
        "the service has no memory for another client: " + base::format_bytes(member_bytes_) +
            " of " + base::format_bytes(options_.client_bytes) + " are taken");
  }
  return {};
}

base::Result<shm::Admission> ServiceHost::Desk::admit(ClientIdentity identity,
                                                      const shm::RingSizes& sizes) {
  const uid_t uid = identity.peer.uid;
  FL_TRY(auto port, ClientPort::create(std::move(identity), sizes, generation_));
  FL_TRY(doorbell_, port->copy_doorbell_fd());
  segment_ = port->release_segment_fd();
  members_[next_client_++] = {uid, client_bytes(sizes)};
  member_bytes_ += client_bytes(sizes);
  const shm::Admission admission{.client = port->identity().number,
                                 .generation = generation_,
                                 .segment_bytes = port->segment_bytes(),
                                 .segment_fd = segment_.get(),
                                 .doorbell_fd = doorbell_.get()};
  service_.adopt(std::move(port));
  return admission;
}

void ServiceHost::Desk::on_hangup(std::uint32_t client) {
  const auto member = members_.find(client);
  member_bytes_ -= member->second.bytes;
  members_.erase(member);
  service_.drop(client);
}

void ServiceHost::Desk::on_fault(const shm::PeerFault& fault) {
  const std::string uid = std::to_string(fault.peer.uid);
  say("connections of uid " + uid + ": " + std::string(base::name(fault.error.kind())),
      "ended a connection of pid " + std::to_string(fault.peer.pid) + " (uid " + uid +
          "): " + fault.error.message());
}

std::string ServiceHost::Desk::on_status() { return report(service_.stats()); }

void ServiceHost::Desk::on_stop(shm::SendReport send) {
  const std::lock_guard lock(askers_mutex_);
  if (!final_report_.empty()) return send(final_report_);
  askers_.push_back(std::move(send));
  service_.drain();
}

// On the service thread.
void ServiceHost::Desk::ended(const Service::Fault& fault) {
  {
    const std::lock_guard lock(news_mutex_);
    faults_.push_back(fault);
  }
  acceptor_->detach(fault.client);
}

// On the service thread.
void ServiceHost::Desk::noticed(ImageChange change) {
  {
    const std::lock_guard lock(news_mutex_);
    if (std::find(changes_.begin(), changes_.end(), change) == changes_.end()) {
      changes_.push_back(change);
    }
  }
  acceptor_->wake();
}

void ServiceHost::Desk::tell_news() {
  std::vector<Service::Fault> faults;
  std::vector<ImageChange> changes;
  {
    const std::lock_guard lock(news_mutex_);
    faults.swap(faults_);
    changes.swap(changes_);
  }
  for (const Service::Fault& fault : faults) {
    const std::string uid = std::to_string(fault.peer.uid);
    say("clients of uid " + uid + ": " + fault.why,
        "ended client " + std::to_string(fault.client) + " of pid " +
            std::to_string(fault.peer.pid) + " (uid " + uid + "): " + fault.why);
  }
  for (const ImageChange change : changes) say(describe(change), describe(change));
}

ServiceHost::ServiceHost(std::unique_ptr<Desk> desk) : desk_(std::move(desk)) {}
ServiceHost::~ServiceHost() = default;

base::Result<std::unique_ptr<ServiceHost>> ServiceHost::create(Image image, HostOptions options,
                                                               const base::Clock& clock) {
  const ServiceLimits limits = options.limits;
  try {
    auto desk = std::make_unique<Desk>(std::move(image), std::move(options), clock);
    FL_TRY_STATUS(desk->listen());
    return std::unique_ptr<ServiceHost>(new ServiceHost(std::move(desk)));
  } catch (const std::bad_alloc&) {
    return base::fail(no_memory(limits));
  }
}

base::Result<HostEnd> ServiceHost::serve() { return desk_->serve(); }
void ServiceHost::stop() { desk_->stop(); }
void ServiceHost::look() { desk_->look(); }

}  // namespace fairlead::block
