// SPDX-License-Identifier: Apache-2.0
//
// The acceptor is turned by hand on the test's own thread, so that each step is seen.
#include "shm/peer_acceptor.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "shm/peer_call.h"
#include "shm/peer_message.h"
#include "shm/testing_descriptors.h"

namespace fairlead::shm {
namespace {

using base::ErrorKind;
using base::Fd;

constexpr std::int64_t kPatience = 5 * base::kNanosPerSecond;

class FakeService final : public RegistrationHandler {
 public:
  base::Result<Admission> on_hello(const PeerIdentity& peer,
                                   const abi::ControlHello& hello) override {
    if (full) return base::fail(ErrorKind::kLimit, "no room in the ring");
    last_peer = peer;
    last_name = hello.name;
    return Admission{++clients, 77, 4096, memory.get(), bell.get()};
  }
  void on_hangup(std::uint32_t client) override { hangups.push_back(client); }
  void on_fault(const PeerFault& fault) override {
    faults.push_back(fault.error.message());
    faulty.push_back(fault.client);
  }
  std::string on_status() override { return status; }
  void on_stop(SendReport send) override { stops.push_back(std::move(send)); }

  Fd memory{::memfd_create("test", MFD_CLOEXEC)};
  Fd bell{::eventfd(0, EFD_CLOEXEC)};
  bool full = false;
  std::uint32_t clients = 0;
  PeerIdentity last_peer;
  std::string last_name;
  std::string status = "{}";
  std::vector<std::uint32_t> hangups;
  std::vector<std::string> faults;
  std::vector<std::optional<std::uint32_t>> faulty;
  std::vector<SendReport> stops;
};

class PeerAcceptorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/fl-peer-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/disk.sock";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void start(AcceptorOptions options = {}) {
    auto listener = ControlListener::bind(path_);
    ASSERT_TRUE(listener) << listener.error().message();
    auto made = PeerAcceptor::create(*std::move(listener), service_, clock_, std::move(options));
    ASSERT_TRUE(made) << made.error().message();
    acceptor_ = *std::move(made);
  }

  ControlSocket connect() { return *ControlSocket::connect(path_, kPatience); }

  // Serves all that is there to serve.
  void settle() {
    pollfd work{acceptor_->poll_fd(), POLLIN, 0};
    for (int turns = 0; turns < 10'000 && ::poll(&work, 1, 0) == 1; ++turns) {
      ASSERT_TRUE(acceptor_->turn(0));
    }
    ASSERT_EQ(::poll(&work, 1, 0), 0) << "the acceptor spins";
  }

  // Says hello and takes the welcome.
  ControlSocket join() {
    ControlSocket socket = connect();
    EXPECT_TRUE(socket.send(bytes_of(make_hello(64, 4096, 1, "test"))));
    settle();
    std::array<std::byte, 256> buffer;
    auto packet = socket.receive(buffer, 2, 0);
    EXPECT_TRUE(packet) << packet.error().message();
    EXPECT_TRUE(packet && parse_welcome(std::span(buffer).first(packet->bytes)));
    return socket;
  }

  // What the service last said to a socket: "" hang-up, else a refusal's text.
  static std::string last_words(ControlSocket& socket) {
    std::array<std::byte, 256> buffer;
    const auto packet = socket.receive(buffer, 2, 0);
    if (!packet) return packet.error().kind() == ErrorKind::kClosed ? "" : "still open";
    return parse_refused(std::span(buffer).first(packet->bytes)).message();
  }

  std::string folder_;
  std::string path_;
  base::ManualClock clock_;
  FakeService service_;
  std::unique_ptr<PeerAcceptor> acceptor_;
};

TEST_F(PeerAcceptorTest, ClientGetsNumberGenerationAndBothDescriptors) {
  start();
  std::jthread serving([&] { EXPECT_TRUE(acceptor_->run()); });
  {
    auto joined = register_client(path_, make_hello(64, 4096, 1, "db-1"), kPatience);
    ASSERT_TRUE(joined) << joined.error().message();
    EXPECT_EQ(joined->welcome.client, 1U);
    EXPECT_EQ(joined->welcome.generation, 77U);
    EXPECT_EQ(joined->welcome.segment_bytes, 4096U);
    EXPECT_EQ(joined->service.pid, ::getpid());
    struct stat theirs{};
    struct stat ours{};
    ASSERT_EQ(::fstat(joined->segment.get(), &theirs), 0);
    ASSERT_EQ(::fstat(service_.memory.get(), &ours), 0);
    EXPECT_EQ(theirs.st_ino, ours.st_ino);
    ASSERT_EQ(::eventfd_write(joined->doorbell.get(), 5), 0);
  }
  acceptor_->stop();
  serving.join();
  eventfd_t rung = 0;
  EXPECT_EQ(::eventfd_read(service_.bell.get(), &rung), 0);
  EXPECT_EQ(rung, 5U);
  EXPECT_EQ(service_.last_name, "db-1");
  EXPECT_EQ(service_.last_peer.pid, ::getpid());
  EXPECT_EQ(service_.hangups, std::vector<std::uint32_t>{1});
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(PeerAcceptorTest, RefusalOfTheHandlerReachesTheClient) {
  service_.full = true;
  start();
  std::jthread serving([&] { EXPECT_TRUE(acceptor_->run()); });
  const auto joined = register_client(path_, make_hello(64, 4096, 1, "x"), kPatience);
  acceptor_->stop();
  ASSERT_FALSE(joined);
  EXPECT_EQ(joined.error().kind(), ErrorKind::kLimit);
  EXPECT_EQ(joined.error().message(), "refused by the service: no room in the ring");
  serving.join();
  EXPECT_EQ(service_.faults, std::vector<std::string>{"no room in the ring"}) << "for the log";
}

TEST_F(PeerAcceptorTest, StatusIsAnsweredAlsoWhenLong) {
  service_.status = std::string(abi::kMaxReportBytes - sizeof(abi::ControlHeader), 's');
  start();
  std::jthread serving([&] { EXPECT_TRUE(acceptor_->run()); });
  const auto longest = query_service(path_, abi::ControlType::kQueryStatus, kPatience);
  service_.status += "s";
  const auto over = query_service(path_, abi::ControlType::kQueryStatus, kPatience);
  acceptor_->stop();
  ASSERT_TRUE(longest) << longest.error().message();
  EXPECT_EQ(longest->size() + 1, service_.status.size());
  EXPECT_EQ(over.error().kind(), ErrorKind::kLimit);
}

// Two ask; both wait until the service says it has drained, on another thread, then both hear it.
TEST_F(PeerAcceptorTest, StopIsAnsweredWhenDrainedAndBeforeTheEnd) {
  start();
  ControlSocket askers[2] = {connect(), connect()};
  for (auto& asker : askers) {
    const auto question = make_header(abi::ControlType::kQueryStop, sizeof(abi::ControlHeader));
    ASSERT_TRUE(asker.send(bytes_of(question)));
  }
  settle();
  ASSERT_EQ(service_.stops.size(), 2U);
  std::array<std::byte, 256> buffer;
  for (auto& asker : askers) {
    EXPECT_EQ(asker.receive(buffer, 0, 0).error().kind(), ErrorKind::kTimeout);
  }
  std::jthread([&] {
    for (auto& send : service_.stops) send("{\"reads\":7}");
    acceptor_->stop();
  }).join();
  EXPECT_TRUE(acceptor_->run());
  for (auto& asker : askers) {
    const auto packet = asker.receive(buffer, 0, 0);
    ASSERT_TRUE(packet);
    EXPECT_EQ(parse_report(std::span(buffer).first(packet->bytes)).value(), "{\"reads\":7}");
    EXPECT_EQ(last_words(asker), "");
  }
  EXPECT_FALSE(acceptor_->turn(0).value());
}

TEST_F(PeerAcceptorTest, ReportForAnAskerWhoLeftOrAnAcceptorThatEndedGoesNowhere) {
  start();
  {
    ControlSocket asker = connect();
    const auto question = make_header(abi::ControlType::kQueryStop, sizeof(abi::ControlHeader));
    ASSERT_TRUE(asker.send(bytes_of(question)));
    settle();
  }
  settle();
  ASSERT_EQ(service_.stops.size(), 1U);
  ControlSocket successor = join();  // in the asker's place of the table
  service_.stops[0]("{}");
  settle();
  EXPECT_EQ(last_words(successor), "still open");
  acceptor_.reset();
  service_.stops[0]("{}");
}

TEST_F(PeerAcceptorTest, ReportGoesToItsAskerNotToOneWhoCameLater) {
  start();
  const auto question = make_header(abi::ControlType::kQueryStop, sizeof(abi::ControlHeader));
  {
    ControlSocket left = connect();
    ASSERT_TRUE(left.send(bytes_of(question)));
    settle();
  }
  settle();
  ControlSocket later = connect();
  ASSERT_TRUE(later.send(bytes_of(question)));
  settle();
  ASSERT_EQ(service_.stops.size(), 2U);
  service_.stops[0]("{}");
  settle();
  EXPECT_EQ(last_words(later), "still open");
}

TEST_F(PeerAcceptorTest, ClientThatCannotGetItsDescriptorsIsNoClient) {
  service_.memory.reset();
  start();
  std::jthread serving([&] { EXPECT_TRUE(acceptor_->run()); });
  const auto joined = register_client(path_, make_hello(64, 4096, 1, "x"), kPatience);
  acceptor_->stop();
  serving.join();
  ASSERT_FALSE(joined);
  EXPECT_EQ(joined.error().kind(), ErrorKind::kIo);
  EXPECT_EQ(acceptor_->counts().admitted, 0U);
  EXPECT_EQ(service_.faults.size(), 1U) << "for the log";
  EXPECT_EQ(service_.hangups, std::vector<std::uint32_t>{1});
}

TEST_F(PeerAcceptorTest, RefusalIsHeardHoweverTheRaceOfSendAndCloseEnds) {
  start({.connections = 1});
  ControlSocket only = join();
  std::jthread serving([&] { EXPECT_TRUE(acceptor_->run()); });
  for (int i = 0; i < 300; ++i) {
    const auto joined = register_client(path_, make_hello(64, 4096, 1, "x"), kPatience);
    ASSERT_FALSE(joined);
    ASSERT_EQ(joined.error().kind(), ErrorKind::kLimit) << joined.error().message();
  }
  acceptor_->stop();
}

TEST_F(PeerAcceptorTest, DetachEndsThatClientAlone) {
  start();
  ControlSocket one = join();
  ControlSocket two = join();
  std::jthread([&] {
    for (int i = 0; i < 100; ++i) acceptor_->detach(1);
    acceptor_->detach(99);
  }).join();
  settle();
  EXPECT_EQ(last_words(one), "");
  EXPECT_EQ(last_words(two), "still open");
  EXPECT_EQ(service_.hangups, std::vector<std::uint32_t>{1});
}

TEST_F(PeerAcceptorTest, AWakeEndsATurnAndNothingElse) {
  start();
  ControlSocket client = join();
  acceptor_->wake();
  EXPECT_TRUE(*acceptor_->turn(-1)) << "waits for ever without it";
  EXPECT_EQ(last_words(client), "still open");
}

TEST_F(PeerAcceptorTest, AnyWordAfterTheWelcomeIsAFault) {
  start();
  ControlSocket one = join();
  ControlSocket two = join();
  ASSERT_TRUE(one.send(bytes_of(make_hello(64, 4096, 1, "again"))));
  settle();
  EXPECT_EQ(last_words(one), "");
  EXPECT_EQ(last_words(two), "still open");
  ASSERT_EQ(service_.faults.size(), 1U);
  EXPECT_EQ(service_.faulty[0], 1U);
  EXPECT_EQ(service_.hangups, std::vector<std::uint32_t>{1});
}

TEST_F(PeerAcceptorTest, HelloAndHangUpInOneLeavesNoClientBehind) {
  start();
  {
    ControlSocket hasty = connect();
    ASSERT_TRUE(hasty.send(bytes_of(make_hello(64, 4096, 1, "hasty"))));
  }
  settle();
  EXPECT_EQ(service_.clients, service_.hangups.size());
  EXPECT_EQ(acceptor_->counts().connected, 0U);
  EXPECT_TRUE(service_.faults.empty());
}

TEST_F(PeerAcceptorTest, SilentConnectionEndsAtItsDeadlineAndNotBefore) {
  start();
  ControlSocket client = join();
  ControlSocket silent = connect();
  settle();
  EXPECT_EQ(acceptor_->wait_ns(), base::kNanosPerSecond);
  clock_.advance_ns(base::kNanosPerSecond - 1);
  ASSERT_TRUE(acceptor_->turn(0));
  EXPECT_EQ(last_words(silent), "still open");
  clock_.advance_ns(1);
  ASSERT_TRUE(acceptor_->turn(0));
  EXPECT_EQ(last_words(silent), "refused by the service: connected and said nothing in time");
  EXPECT_EQ(last_words(silent), "");
  EXPECT_EQ(last_words(client), "still open");
  EXPECT_EQ(acceptor_->wait_ns(), -1);
  EXPECT_EQ(service_.faults.size(), 1U);
}

TEST_F(PeerAcceptorTest, HelloThatCameInTimeCountsThoughWeWereLate) {
  start({.accepts_per_turn = 200});
  std::vector<ControlSocket> crowd;
  for (int i = 0; i < 100; ++i) crowd.push_back(connect());  // more than one turn's events
  settle();
  for (auto& one : crowd) ASSERT_TRUE(one.send(bytes_of(make_hello(64, 4096, 1, "crowd"))));
  clock_.advance_ns(10 * base::kNanosPerSecond);
  settle();
  EXPECT_EQ(acceptor_->counts().admitted, 100U);
  EXPECT_TRUE(service_.faults.empty());
}

TEST_F(PeerAcceptorTest, RealClockEndsSilenceToo) {
  auto listener = ControlListener::bind(path_);
  const base::SystemClock clock;
  auto acceptor = PeerAcceptor::create(*std::move(listener), service_, clock,
                                       {.handshake_ns = 20 * base::kNanosPerMilli});
  ASSERT_TRUE(acceptor);
  ControlSocket silent = connect();
  while (service_.faults.empty()) ASSERT_TRUE((*acceptor)->turn(-1));
  std::array<std::byte, 256> buffer;
  EXPECT_TRUE(silent.receive(buffer, 0, 0));
}

TEST_F(PeerAcceptorTest, LimitsAreSaidToWhoMeetsThem) {
  start({.connections = 4, .connections_per_uid = 3});
  std::vector<ControlSocket> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(join());
  ControlSocket fourth = connect();
  // Refused before it has said a word, it still hears why.
  static_cast<void>(fourth.send(bytes_of(make_hello(64, 4096, 1, "4"))));
  settle();
  EXPECT_NE(last_words(fourth).find("limit of 4 connections, 3 of them for one user"),
            std::string::npos);
  EXPECT_EQ(acceptor_->counts().refused, 1U);
  clients.pop_back();
  settle();
  clients.push_back(join());
}

TEST_F(PeerAcceptorTest, FloodIsTakenInBoundedPortions) {
  start({.connections = 64, .connections_per_uid = 64, .accepts_per_turn = 5});
  std::vector<ControlSocket> flood;
  for (int i = 0; i < 20; ++i) flood.push_back(connect());
  ASSERT_TRUE(acceptor_->turn(0));
  EXPECT_EQ(acceptor_->counts().accepted, 5U);
  settle();
  EXPECT_EQ(acceptor_->counts().accepted, 20U);
}

TEST_F(PeerAcceptorTest, OutOfDescriptorsItWaitsInsteadOfSpinning) {
  start();
  const Fd waiting(::socket(AF_UNIX, SOCK_SEQPACKET, 0));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 1, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, path_.c_str());
  const int connected =
      ::connect(waiting.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const auto turned = acceptor_->turn(0);
  pollfd work{acceptor_->poll_fd(), POLLIN, 0};
  const rlimit poll_limit{.rlim_cur = 100, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &poll_limit), 0);
  const int busy = ::poll(&work, 1, 0);
  const std::int64_t wait_ns = acceptor_->wait_ns();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(connected, 0);
  EXPECT_TRUE(turned);
  EXPECT_EQ(busy, 0) << "the listener stays readable: this would spin";
  EXPECT_EQ(wait_ns, base::kNanosPerSecond / 10);
  clock_.advance_ns(base::kNanosPerSecond / 10);
  ASSERT_TRUE(acceptor_->turn(0));
  settle();
  EXPECT_EQ(acceptor_->counts().accepted, 1U);
}

// Every way of being wrong on a first message: that connection ends, with one line for the log,
// no descriptor stays, the client beside it is served.
TEST_F(PeerAcceptorTest, HostileMessagesHurtOnlyTheirSender) {
  start();
  ControlSocket good = join();
  const std::ptrdiff_t before = open_descriptors();
  std::size_t faults = 0;
  const auto attack = [&](std::span<const std::byte> bytes, std::size_t fds, const char* what) {
    ControlSocket evil = connect();
    std::vector<int> passed(fds, evil.fd());
    std::vector<char> control(CMSG_SPACE(fds * sizeof(int)));
    iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fds > 0) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(fds * sizeof(int));
      std::memcpy(CMSG_DATA(rights), passed.data(), fds * sizeof(int));
    }
    ASSERT_EQ(::sendmsg(evil.fd(), &message, 0), static_cast<ssize_t>(bytes.size())) << what;
    settle();
    EXPECT_NE(last_words(evil), "still open") << what;
    EXPECT_EQ(service_.faults.size(), ++faults) << what;
  };
  const auto hello = make_hello(64, 4096, 1, "evil");
  const auto bytes = bytes_of(hello);
  attack(bytes, 1, "hello with one descriptor");
  attack(bytes, 253, "hello with 253 descriptors");
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) attack(bytes.first(cut), 0, "half hello");
  const std::vector<std::byte> big(100'000);
  attack(big, 0, "100 kB of zeroes");
  attack(big, 253, "100 kB of zeroes and 253 descriptors");
  std::vector<std::byte> longer(bytes.begin(), bytes.end());
  longer.resize(65);
  attack(longer, 0, "one byte too many");
  for (const std::uint32_t type : {0U, 2U, 3U, 6U, 7U, 0xffff'ffffU}) {
    auto wrong = hello;
    wrong.header.type = static_cast<abi::ControlType>(type);
    attack(bytes_of(wrong), 0, "wrong type");
  }
  auto other = hello;
  other.header.version_major = 2;
  attack(bytes_of(other), 0, "other version");
  auto question = make_header(abi::ControlType::kQueryStatus, 64);
  auto padded = hello;
  padded.header = question;
  attack(bytes_of(padded), 0, "question with luggage");

  EXPECT_EQ(open_descriptors(), before);
  EXPECT_EQ(last_words(good), "still open");
  EXPECT_EQ(acceptor_->counts().faults, faults);
  EXPECT_EQ(service_.clients, 1U);
  EXPECT_TRUE(service_.stops.empty());
}

TEST_F(PeerAcceptorTest, ThousandComeAndGoAndNothingStays) {
  start();
  std::jthread serving([&] { EXPECT_TRUE(acceptor_->run()); });
  ASSERT_TRUE(register_client(path_, make_hello(64, 4096, 1, "first"), kPatience));
  const std::ptrdiff_t before = open_descriptors();
  for (int i = 0; i < 1000; ++i) {
    const auto joined = register_client(path_, make_hello(64, 4096, 1, "storm"), kPatience);
    ASSERT_TRUE(joined) << i << ": " << joined.error().message();
  }
  // The answer to a question asked now comes after all those hang-ups.
  ASSERT_TRUE(query_service(path_, abi::ControlType::kQueryStatus, kPatience));
  EXPECT_LE(open_descriptors(), before + 1);
  acceptor_->stop();
  serving.join();
  EXPECT_EQ(service_.hangups.size(), 1001U);
  EXPECT_EQ(acceptor_->counts().connected, 0U);
}

TEST_F(PeerAcceptorTest, KilledClientIsSeenWithinTenMilliseconds) {
  start();
  const pid_t client = ::fork();
  if (client == 0) {
    const auto joined = register_client(path_, make_hello(64, 4096, 1, "victim"), kPatience);
    for (;;) ::pause();
  }
  while (service_.clients == 0) ASSERT_TRUE(acceptor_->turn(-1));
  const std::int64_t start_ns = base::monotonic_ns();
  ::kill(client, SIGKILL);
  while (service_.hangups.empty()) ASSERT_TRUE(acceptor_->turn(-1));
  const std::int64_t seen_ns = base::monotonic_ns() - start_ns;
  ::waitpid(client, nullptr, 0);
  RecordProperty("microseconds", static_cast<int>(seen_ns / 1000));
  EXPECT_LE(seen_ns, 10 * base::kNanosPerMilli);
}

TEST_F(PeerAcceptorTest, ServiceDeathIsSeenByTheClient) {
  start();
  ControlSocket client = join();
  acceptor_.reset();
  EXPECT_EQ(last_words(client), "");
}

TEST_F(PeerAcceptorTest, AnotherUserIsRefused) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root to become another user";
  start();
  std::jthread serving([&] { EXPECT_TRUE(acceptor_->run()); });
  const auto as_nobody = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(99);
      const auto joined = register_client(path_, make_hello(64, 4096, 1, "other"), kPatience);
      ::_exit(joined ? 98 : static_cast<int>(joined.error().kind()));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return static_cast<ErrorKind>(WEXITSTATUS(status));
  };
  EXPECT_EQ(as_nobody(), ErrorKind::kDenied) << "by the folder";
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  EXPECT_EQ(as_nobody(), ErrorKind::kDenied) << "by the socket's mode";
  ASSERT_EQ(::chmod(path_.c_str(), 0666), 0);
  EXPECT_EQ(as_nobody(), ErrorKind::kDenied) << "by the service";
  acceptor_->stop();
  serving.join();
  EXPECT_EQ(acceptor_->counts().accepted, 1U);
  EXPECT_EQ(acceptor_->counts().refused, 1U);
  ASSERT_EQ(service_.faults.size(), 1U);
  EXPECT_EQ(service_.faults[0], "user 65534 may not use this service");
  EXPECT_EQ(service_.clients, 0U);
}

}  // namespace
}  // namespace fairlead::shm
