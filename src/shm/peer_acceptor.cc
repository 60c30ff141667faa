// SPDX-License-Identifier: Apache-2.0
#include "shm/peer_acceptor.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "shm/peer_mailbox.h"
#include "shm/peer_message.h"

namespace fairlead::shm {

using base::Error;
using base::ErrorKind;
using base::fail_errno;
using base::Fd;
using base::Result;
using base::Status;

// Free -> kSilent (no message yet) -> kClient, or kAsker that waits for the last report -> free.
struct PeerAcceptor::Connection {
  enum class State : std::uint8_t { kFree, kSilent, kClient, kAsker };

  State state = State::kFree;
  ControlSocket socket{Fd()};
  PeerIdentity peer;
  std::uint64_t serial = 0;      // never used twice: an event or order for it meets no successor
  std::int64_t deadline_ns = 0;  // kSilent
  std::uint32_t client = 0;      // kClient
};

namespace {

constexpr std::uint64_t kListenerKey = 0;
constexpr std::uint64_t kMailboxKey = 1;
constexpr std::uint64_t kFirstSerial = 2;
constexpr int kEventsPerTurn = 64;

Status watch(const Fd& epoll, int fd, std::uint32_t events, std::uint64_t key) {
  epoll_event event{.events = events, .data = {.u64 = key}};
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  return fail_errno(errno, "watch a control socket");
}

int whole_millis(std::int64_t ns) {
  if (ns < 0) return -1;
  return static_cast<int>(
      std::min<std::int64_t>((ns + base::kNanosPerMilli - 1) / base::kNanosPerMilli, 3'600'000));
}

bool same_user_or_root(const PeerIdentity& peer) {
  return peer.uid == 0 || peer.uid == ::geteuid();
}

}  // namespace

Result<std::unique_ptr<PeerAcceptor>> PeerAcceptor::create(ControlListener listener,
                                                           RegistrationHandler& handler,
                                                           const base::Clock& clock,
                                                           AcceptorOptions options) {
  std::unique_ptr<PeerAcceptor> acceptor(
      new PeerAcceptor(std::move(listener), handler, clock, std::move(options)));
  FL_TRY_STATUS(acceptor->start());
  return acceptor;
}

PeerAcceptor::PeerAcceptor(ControlListener listener, RegistrationHandler& handler,
                           const base::Clock& clock, AcceptorOptions options)
    : listener_(std::move(listener)),
      handler_(handler),
      clock_(clock),
      options_(std::move(options)),
      table_(options_.connections),
      serial_(kFirstSerial) {
  FL_CHECK(options_.connections > 0 && options_.accepts_per_turn > 0);
  if (!options_.may_connect) options_.may_connect = same_user_or_root;
}

Status PeerAcceptor::start() {
  FL_TRY(Fd event, PeerMailbox::make_event());
  mailbox_ = std::make_shared<PeerMailbox>(std::move(event));
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return fail_errno(errno, "make an epoll");
  FL_TRY_STATUS(watch(epoll_, mailbox_->fd(), EPOLLIN, kMailboxKey));
  return watch(epoll_, listener_.fd(), EPOLLIN, kListenerKey);
}

PeerAcceptor::~PeerAcceptor() {
  for (Connection& connection : table_) close(connection);
}

Status PeerAcceptor::run() {
  for (;;) {
    FL_TRY(const bool more, turn(-1));
    if (!more) return {};
  }
}

void PeerAcceptor::detach(std::uint32_t client) {
  mailbox_->put({.kind = PeerMailbox::Kind::kDetach, .target = client, .text = {}});
}

void PeerAcceptor::wake() {
  mailbox_->put({.kind = PeerMailbox::Kind::kWake, .target = 0, .text = {}});
}

void PeerAcceptor::stop() {
  mailbox_->put({.kind = PeerMailbox::Kind::kStop, .target = 0, .text = {}});
}

std::int64_t PeerAcceptor::wait_ns() const {
  std::int64_t first_ns = resume_ns_;
  for (const Connection& connection : table_) {
    if (connection.state != Connection::State::kSilent) continue;
    if (first_ns < 0 || connection.deadline_ns < first_ns) first_ns = connection.deadline_ns;
  }
  return first_ns < 0 ? -1 : std::max<std::int64_t>(first_ns - clock_.now_ns(), 0);
}

Result<bool> PeerAcceptor::turn(std::int64_t timeout_ns) {
  if (stopped_) return false;
  const std::int64_t own_ns = wait_ns();
  const bool own_first = own_ns >= 0 && (timeout_ns < 0 || own_ns < timeout_ns);
  std::array<epoll_event, kEventsPerTurn> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsPerTurn,
                                 whole_millis(own_first ? own_ns : timeout_ns));
  if (count < 0 && errno != EINTR) return fail_errno(errno, "wait for control messages");
  bool knocked = false;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 == kListenerKey) knocked = true;
    if (event.data.u64 < kFirstSerial) continue;
    const auto found = std::find_if(table_.begin(), table_.end(), [&](const Connection& c) {
      return c.state != Connection::State::kFree && c.serial == event.data.u64;
    });
    if (found != table_.end()) serve(*found, event.events);
  }
  expire();
  stopped_ = obey_orders();
  if (stopped_) {
    for (Connection& connection : table_) close(connection);
    const ControlListener ended = std::move(listener_);
    return false;
  }
  if (resume_ns_ >= 0 && clock_.now_ns() >= resume_ns_) watch_listener(Watch::kOn);
  if (knocked) accept_some();
  return true;
}

void PeerAcceptor::accept_some() {
  for (std::uint32_t i = 0; i < options_.accepts_per_turn; ++i) {
    auto accepted = listener_.accept();
    if (!accepted) {
      // Out of descriptors or memory: the listener stays readable, so looking away for a while is
      // what keeps this thread from spinning.
      watch_listener(Watch::kOff);
      return;
    }
    if (!*accepted) return;
    take(**std::move(accepted));
  }
}

void PeerAcceptor::watch_listener(Watch wanted) {
  epoll_event event{.events = wanted == Watch::kOn ? EPOLLIN : 0U, .data = {.u64 = kListenerKey}};
  FL_CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener_.fd(), &event) == 0);
  resume_ns_ = wanted == Watch::kOn ? -1 : clock_.now_ns() + options_.retry_ns;
}

// Space for one more of this user?
Error PeerAcceptor::full_for(const PeerIdentity& peer) const {
  return {ErrorKind::kLimit, "the service has its limit of " +
                                 std::to_string(options_.connections) + " connections, " +
                                 std::to_string(options_.connections_per_uid) +
                                 " of them for one user (" + std::to_string(peer.uid) + ")"};
}

void PeerAcceptor::take(ControlSocket socket) {
  ++counts_.accepted;
  const auto peer = socket.peer();
  if (!peer) return;
  Connection* place = nullptr;
  std::uint32_t of_user = 0;
  for (Connection& connection : table_) {
    const bool unused = connection.state == Connection::State::kFree;
    if (unused && place == nullptr) place = &connection;
    if (!unused && connection.peer.uid == peer->uid) ++of_user;
  }
  Connection refused;
  const bool full = place == nullptr || of_user >= options_.connections_per_uid;
  Connection& connection = full ? refused : *place;
  connection.socket = std::move(socket);
  connection.peer = *peer;
  connection.serial = serial_++;
  connection.deadline_ns = clock_.now_ns() + options_.handshake_ns;
  connection.state = Connection::State::kSilent;
  ++counts_.connected;
  if (!options_.may_connect(*peer)) {
    return fault(connection, {ErrorKind::kDenied,
                              "user " + std::to_string(peer->uid) + " may not use this service"});
  }
  if (full) return fault(connection, full_for(*peer));
  const Status watched =
      watch(epoll_, connection.socket.fd(), EPOLLIN | EPOLLRDHUP, connection.serial);
  if (!watched) refuse(connection, watched.error());
}

void PeerAcceptor::serve(Connection& connection, std::uint32_t events) {
  // One byte more than the longest message that may come, so that a longer one shows.
  std::array<std::byte, sizeof(abi::ControlHello) + 1> buffer;
  auto packet = connection.socket.receive(buffer, 0, 0);
  if (!packet) {
    const bool gone = (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR)) != 0;
    if (packet.error().kind() == ErrorKind::kCorrupt) {
      fault(connection, packet.error());
    } else if (gone || packet.error().kind() != ErrorKind::kTimeout) {
      close(connection);
    }
    return;
  }
  if (connection.state != Connection::State::kSilent) {
    return fault(connection, {ErrorKind::kCorrupt, "control message after the handshake"});
  }
  first_message(connection, std::span(buffer).first(packet->bytes),
                (events & (EPOLLHUP | EPOLLERR)) != 0);
}

void PeerAcceptor::first_message(Connection& connection, std::span<const std::byte> packet,
                                 bool gone) {
  const auto header = parse_header(packet);
  if (!header) return fault(connection, header.error());
  const bool bare = packet.size() == sizeof(abi::ControlHeader);
  if (header->type == abi::ControlType::kHello) {
    const auto hello = parse_hello(packet);
    if (!hello) return fault(connection, hello.error());
    return gone ? close(connection) : greet(connection, *hello);
  }
  if (header->type == abi::ControlType::kQueryStatus && bare) {
    return gone ? close(connection) : answer(connection, handler_.on_status());
  }
  if (header->type == abi::ControlType::kQueryStop && bare) {
    // Obeyed even when the asker did not wait for the answer.
    connection.state = Connection::State::kAsker;
    const std::uint64_t serial = connection.serial;
    return handler_.on_stop([mailbox = mailbox_, serial](std::string report) {
      mailbox->put(
          {.kind = PeerMailbox::Kind::kReport, .target = serial, .text = std::move(report)});
    });
  }
  fault(connection, {ErrorKind::kCorrupt, "control message that no client sends"});
}

void PeerAcceptor::greet(Connection& connection, const abi::ControlHello& hello) {
  const auto admission = handler_.on_hello(connection.peer, hello);
  if (!admission) return refuse(connection, admission.error());
  FL_CHECK(std::none_of(table_.begin(), table_.end(), [&](const Connection& other) {
    return other.state == Connection::State::kClient && other.client == admission->client;
  }));
  connection.state = Connection::State::kClient;
  connection.client = admission->client;
  abi::ControlWelcome welcome{};
  welcome.header = make_header(abi::ControlType::kWelcome, sizeof welcome);
  welcome.generation = admission->generation;
  welcome.segment_bytes = admission->segment_bytes;
  welcome.client = admission->client;
  const int fds[] = {admission->segment_fd, admission->doorbell_fd};
  // Fails if the client left meanwhile, or if it is at its limit of descriptors in flight.
  const Status sent = connection.socket.send(bytes_of(welcome), fds);
  if (!sent && sent.error().kind() == ErrorKind::kClosed) return close(connection);
  if (!sent) return refuse(connection, sent.error());
  ++counts_.admitted;
}

void PeerAcceptor::answer(Connection& connection, std::string_view report) {
  const auto message = make_report(report);
  if (!message) return refuse(connection, message.error());
  // A full or broken socket is the asker's own doing: it gets no report.
  static_cast<void>(connection.socket.send(std::as_bytes(std::span(*message))));
  close(connection);
}

void PeerAcceptor::note(const Connection& connection, const Error& error) {
  const bool welcomed = connection.state == Connection::State::kClient;
  handler_.on_fault(
      {connection.peer, welcomed ? std::optional(connection.client) : std::nullopt, error});
}

void PeerAcceptor::refuse(Connection& connection, const Error& why) {
  note(connection, why);
  ++counts_.refused;
  static_cast<void>(connection.socket.send(bytes_of(make_refused(why))));
  close(connection);
}

void PeerAcceptor::fault(Connection& connection, const Error& error) {
  if (error.kind() == ErrorKind::kDenied || error.kind() == ErrorKind::kLimit) {
    return refuse(connection, error);
  }
  note(connection, error);
  ++counts_.faults;
  if (connection.state != Connection::State::kClient) {
    static_cast<void>(connection.socket.send(bytes_of(make_refused(error))));
  }
  close(connection);
}

// The socket goes first, so that the handler can give its descriptor's place away.
void PeerAcceptor::close(Connection& connection) {
  if (connection.state == Connection::State::kFree) return;
  const bool client = connection.state == Connection::State::kClient;
  connection.state = Connection::State::kFree;
  connection.socket = ControlSocket(Fd());
  --counts_.connected;
  if (client) handler_.on_hangup(connection.client);
}

void PeerAcceptor::expire() {
  const std::int64_t now_ns = clock_.now_ns();
  for (Connection& connection : table_) {
    if (connection.state != Connection::State::kSilent || connection.deadline_ns > now_ns) continue;
    // What came in time counts, even if this thread was kept from reading it.
    serve(connection, 0);
    if (connection.state == Connection::State::kSilent) {
      fault(connection, {ErrorKind::kTimeout, "connected and said nothing in time"});
    }
  }
}

bool PeerAcceptor::obey_orders() {
  for (PeerMailbox::Order& order : mailbox_->take()) {
    if (order.kind == PeerMailbox::Kind::kStop) return true;
    for (Connection& connection : table_) {
      const bool detached = order.kind == PeerMailbox::Kind::kDetach &&
                            connection.state == Connection::State::kClient &&
                            connection.client == order.target;
      const bool answered = order.kind == PeerMailbox::Kind::kReport &&
                            connection.state == Connection::State::kAsker &&
                            connection.serial == order.target;
      if (detached) close(connection);
      if (answered) answer(connection, order.text);
    }
  }
  return false;
}

}  // namespace fairlead::shm
