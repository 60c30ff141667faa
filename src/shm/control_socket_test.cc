// SPDX-License-Identifier: Apache-2.0
#include "shm/control_socket.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "shm/testing_descriptors.h"

namespace fairlead::shm {
namespace {

using base::ErrorKind;
using base::Fd;

constexpr std::int64_t kSoon = 2 * base::kNanosPerSecond;

class ControlSocketTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/fl-socket-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/disk.sock";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string folder_;
  std::string path_;
};

struct Pair {
  ControlSocket one{Fd()};
  ControlSocket other{Fd()};
};

Pair make_pair() {
  int fds[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
  return {ControlSocket(Fd(fds[0])), ControlSocket(Fd(fds[1]))};
}

std::span<const std::byte> text(std::string_view s) { return std::as_bytes(std::span(s)); }

mode_t mode_of(const std::string& path) {
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0 ? found.st_mode & 07777 : 0;
}

TEST_F(ControlSocketTest, PathIsPrivateAndGoneAtTheEnd) {
  const mode_t before = ::umask(0);
  {
    const auto listener = ControlListener::bind(path_);
    ASSERT_TRUE(listener) << listener.error().message();
    EXPECT_EQ(mode_of(path_), 0600U);
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
  }
  ::umask(before);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(ControlSocketTest, NobodyThereIsSaidSo) {
  const auto missing = ControlSocket::connect(path_, kSoon);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(missing.error().message(), "no service is running: nobody listens on " + path_);
}

TEST_F(ControlSocketTest, SocketOfADeadOwnerIsReplaced) {
  const pid_t owner = ::fork();
  if (owner == 0) {
    const auto listener = ControlListener::bind(path_);
    ::raise(SIGKILL);
  }
  ::waitpid(owner, nullptr, 0);
  ASSERT_TRUE(std::filesystem::is_socket(path_));
  EXPECT_EQ(ControlSocket::connect(path_, kSoon).error().kind(), ErrorKind::kNotFound);

  auto listener = ControlListener::bind(path_);
  ASSERT_TRUE(listener) << listener.error().message();
  EXPECT_TRUE(ControlSocket::connect(path_, kSoon));
  EXPECT_TRUE(listener->accept()->has_value());
}

TEST_F(ControlSocketTest, LiveOwnerIsRefusedAndKeepsItsPath) {
  const auto first = ControlListener::bind(path_);
  ASSERT_TRUE(first);
  const auto second = ControlListener::bind(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kBusy);
  EXPECT_TRUE(ControlSocket::connect(path_, kSoon));
}

TEST_F(ControlSocketTest, FileThatIsNoSocketIsLeftAlone) {
  std::ofstream(path_) << "precious";
  EXPECT_EQ(ControlListener::bind(path_).error().kind(), ErrorKind::kExists);
  EXPECT_EQ(std::filesystem::file_size(path_), 8U);
}

TEST_F(ControlSocketTest, PathOfSomebodyElseIsNotRemoved) {
  auto first = ControlListener::bind(path_);
  ASSERT_TRUE(first);
  std::filesystem::remove(path_);
  const auto second = ControlListener::bind(path_);
  ASSERT_TRUE(second);
  {
    const ControlListener ended = *std::move(first);
  }
  EXPECT_TRUE(ControlSocket::connect(path_, kSoon));
}

TEST_F(ControlSocketTest, LongestPathFitsOneMoreDoesNot) {
  const std::string longest = folder_ + "/" + std::string(107 - folder_.size() - 1, 'n');
  EXPECT_TRUE(ControlListener::bind(longest));
  EXPECT_EQ(ControlListener::bind(longest + "n").error().kind(), ErrorKind::kInvalid);
  EXPECT_EQ(ControlListener::bind("").error().kind(), ErrorKind::kInvalid);
}

TEST_F(ControlSocketTest, ConnectToAServiceThatTakesNobodyTimesOut) {
  const auto listener = ControlListener::bind(path_, 0);
  ASSERT_TRUE(listener);
  const auto queued = ControlSocket::connect(path_, kSoon);
  const std::int64_t start_ns = base::monotonic_ns();
  const auto late = ControlSocket::connect(path_, 20 * base::kNanosPerMilli);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), ErrorKind::kTimeout);
  EXPECT_GE(base::monotonic_ns() - start_ns, 19 * base::kNanosPerMilli);
}

TEST(ControlSocket, DescriptorsArriveUsableAndCloseOnExec) {
  Pair pair = make_pair();
  int pipe_fds[2];
  ASSERT_EQ(::pipe(pipe_fds), 0);
  const Fd read_end(pipe_fds[0]);
  const Fd write_end(pipe_fds[1]);
  const int sent[] = {write_end.get(), read_end.get()};
  ASSERT_TRUE(pair.one.send(text("hi"), sent));
  std::array<std::byte, 8> buffer;
  auto packet = pair.other.receive(buffer, 2, 0);
  ASSERT_TRUE(packet) << packet.error().message();
  ASSERT_EQ(packet->bytes, 2U);
  ASSERT_EQ(packet->fd_count, 2U);
  EXPECT_EQ(::write(packet->fds[0].get(), "x", 1), 1);
  char got = 0;
  EXPECT_EQ(::read(packet->fds[1].get(), &got, 1), 1);
  EXPECT_EQ(got, 'x');
  EXPECT_EQ(::fcntl(packet->fds[0].get(), F_GETFD), FD_CLOEXEC);
}

// With 253 descriptors, the most that the kernel passes in one message, and with each small number.
TEST(ControlSocket, SurplusDescriptorsAreClosed) {
  Pair pair = make_pair();
  const std::ptrdiff_t before = open_descriptors();
  for (const std::size_t count : {1U, 2U, 3U, 4U, 5U, 253U}) {
    for (std::size_t allowed = 0; allowed <= 4; ++allowed) {
      std::vector<int> many(count, pair.one.fd());
      std::vector<char> control(CMSG_SPACE(many.size() * sizeof(int)));
      char byte = 'x';
      iovec part{&byte, 1};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(many.size() * sizeof(int));
      std::memcpy(CMSG_DATA(rights), many.data(), many.size() * sizeof(int));
      ASSERT_EQ(::sendmsg(pair.one.fd(), &message, 0), 1);
      std::array<std::byte, 8> buffer;
      {
        const auto packet = pair.other.receive(buffer, allowed, 0);
        EXPECT_EQ(packet.has_value(), count <= allowed) << count << " of " << allowed;
      }
      EXPECT_EQ(open_descriptors(), before) << count << " of " << allowed;
    }
  }
}

TEST(ControlSocket, LongerPacketIsCorruptNotCut) {
  Pair pair = make_pair();
  ASSERT_TRUE(pair.one.send(text("123456789")));
  std::array<std::byte, 8> buffer;
  EXPECT_EQ(pair.other.receive(buffer, 0, 0).error().kind(), ErrorKind::kCorrupt);
  ASSERT_TRUE(pair.one.send(text("12345678")));
  EXPECT_EQ(pair.other.receive(buffer, 0, 0)->bytes, 8U);
}

TEST(ControlSocket, HangUpAndSilenceDiffer) {
  Pair pair = make_pair();
  std::array<std::byte, 8> buffer;
  EXPECT_EQ(pair.other.receive(buffer, 0, 0).error().kind(), ErrorKind::kTimeout);
  EXPECT_EQ(pair.other.receive(buffer, 0, base::kNanosPerMilli).error().kind(),
            ErrorKind::kTimeout);
  pair.one = ControlSocket(Fd());
  EXPECT_EQ(pair.other.receive(buffer, 0, kSoon).error().kind(), ErrorKind::kClosed);
  EXPECT_EQ(pair.other.send(text("x")).error().kind(), ErrorKind::kClosed);
}

TEST(ControlSocket, LastWordsOfAPeerThatDidNotReadUsArrive) {
  Pair pair = make_pair();
  ASSERT_TRUE(pair.other.send(text("unread")));
  ASSERT_TRUE(pair.one.send(text("bye")));
  pair.one = ControlSocket(Fd());
  std::array<std::byte, 8> buffer;
  const auto last = pair.other.receive(buffer, 0, kSoon);
  ASSERT_TRUE(last) << last.error().message();
  EXPECT_EQ(last->bytes, 3U);
}

TEST(ControlSocket, SendToOneWhoDoesNotReadIsBusyNotBlocked) {
  Pair pair = make_pair();
  base::Status sent;
  for (int i = 0; i < 100'000 && sent; ++i) sent = pair.one.send(text("x"));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind(), ErrorKind::kBusy);
}

TEST_F(ControlSocketTest, IdentityIsThePeersNotOurs) {
  auto listener = ControlListener::bind(path_);
  ASSERT_TRUE(listener);
  int hold[2];
  ASSERT_EQ(::pipe(hold), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto socket = ControlSocket::connect(path_, kSoon);
    ::close(hold[1]);
    char byte;
    ::_exit(static_cast<int>(::read(hold[0], &byte, 1)));
  }
  ::close(hold[0]);
  std::array<std::byte, 1> buffer;
  base::Result<std::optional<ControlSocket>> accepted = std::nullopt;
  while (!*accepted) accepted = listener->accept();
  EXPECT_EQ((*accepted)->peer()->pid, child);
  EXPECT_EQ((*accepted)->peer()->uid, ::getuid());
  const auto process = (*accepted)->peer_process();
  EXPECT_TRUE(process || process.error().kind() == ErrorKind::kUnsupported);
  ::close(hold[1]);
  EXPECT_EQ((*accepted)->receive(buffer, 0, kSoon).error().kind(), ErrorKind::kClosed);
  ::waitpid(child, nullptr, 0);
}

}  // namespace
}  // namespace fairlead::shm
