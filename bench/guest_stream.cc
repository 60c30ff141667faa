// SPDX-License-Identifier: Apache-2.0
//
// guest_stream CARRIER: the host's end of row 20: has the guest's guest_sender send messages, reads
// them, looks at the number of each, and measures: one JSON object.
//
// The relay's consumer reads what there is and waits a millisecond if that is nothing; the others
// read as much at once as there is, at most 256 KiB.  Processor time: all of QEMU's threads' and
// this process's, over the time that is measured.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "apps/command_line.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "relay/consumer.h"
#include "report.h"

namespace {

using namespace fairlead;
using bench::die;
using bench::die_errno;
using Bytes = std::span<const std::byte>;

constexpr std::size_t kReadBytes = 256 << 10;
constexpr int kTcpPort = 7777;
constexpr int kPatienceMs = 20'000;

struct Plan {
  std::string carrier;
  std::uint32_t bytes = 64;
  std::uint32_t batch = 0;
  bool no_delay = false;
  std::string folder;     // of the sockets
  std::string card;       // file
  std::uint32_t pid = 0;  // of QEMU
  double seconds = 1;
  double warm_up = 0.2;
};

base::Fd connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) die("too long for a socket: " + path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  base::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    die_errno("connect to " + path);
  }
  return socket;
}

bool readable(int fd, int patience_ms) {
  pollfd one{fd, POLLIN, 0};
  return ::poll(&one, 1, patience_ms) > 0;
}

class Control {
 public:
  explicit Control(const Plan& plan) : socket_(connect_to(plan.folder + "/control")) {}

  void order(const std::string& line) const {
    if (::send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(line.size())) {
      die_errno("order the guest");
    }
  }
  // The next line, if it is there within that time.
  std::optional<std::string> line(int patience_ms) {
    while (true) {
      if (const auto end = pending_.find('\n'); end != std::string::npos) {
        std::string line = pending_.substr(0, end);
        pending_.erase(0, end + 1);
        return line;
      }
      if (!readable(socket_.get(), patience_ms)) return std::nullopt;
      char bytes[256];
      const ssize_t got = ::recv(socket_.get(), bytes, sizeof bytes, 0);
      if (got <= 0) die("the guest went away");
      pending_.append(bytes, static_cast<std::size_t>(got));
    }
  }

 private:
  base::Fd socket_;
  std::string pending_;
};

// Every message's number, also one that is cut between two reads.
class Checker {
 public:
  explicit Checker(std::size_t message) : message_(message) {}

  void look(Bytes piece) {
    while (!piece.empty()) {
      const std::size_t part = std::min(piece.size(), message_ - at_);
      if (at_ < sizeof number_) {
        std::memcpy(number_ + at_, piece.data(), std::min(part, sizeof number_ - at_));
      }
      at_ += part;
      piece = piece.subspan(part);
      if (at_ < message_) return;
      at_ = 0;
      std::uint64_t number;
      std::memcpy(&number, number_, sizeof number);
      if (number != ++seen_) die(fmt::format("message {} came, {} was expected", number, seen_));
    }
  }
  std::uint64_t seen() const { return seen_; }
  bool whole() const { return at_ == 0; }

 private:
  const std::size_t message_;
  std::size_t at_ = 0;
  std::byte number_[8] = {};
  std::uint64_t seen_ = 0;
};

std::uint64_t own_cpu_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec * base::kNanosPerSecond + now.tv_nsec);
}

std::uint64_t qemu_cpu_ns(std::uint32_t pid) {
  std::uint64_t sum = 0;
  std::error_code gone;
  for (const auto& task :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), gone)) {
    const auto text = base::read_file(task.path().string() + "/schedstat", 256);
    if (text) sum += std::strtoull(text->c_str(), nullptr, 10);
  }
  return sum;
}

class Measure {
 public:
  explicit Measure(const Plan& plan) : plan_(plan), checker_(plan.bytes) {}

  void took(Bytes piece) {
    checker_.look(piece);
    ++reads_;
    const std::int64_t now = base::monotonic_ns();
    if (first_ns_ == 0) first_ns_ = now;
    const auto since = static_cast<double>(now - first_ns_) * 1e-9;
    if (begin_.at == 0 && since >= plan_.warm_up) begin_ = here(now);
    if (begin_.at != 0 && end_.at == 0 && since >= plan_.warm_up + plan_.seconds) {
      end_ = here(now);
    }
  }
  bool all(std::uint64_t sent) const { return checker_.seen() == sent && checker_.whole(); }
  std::uint64_t seen() const { return checker_.seen(); }

  void print() const {
    if (end_.at == 0) die("the guest stopped too early");
    const auto wall = static_cast<double>(end_.at - begin_.at) * 1e-9;
    const auto messages = static_cast<double>(end_.messages - begin_.messages);
    std::string out;
    base::JsonWriter(out)
        .begin_object()
        .member("carrier", plan_.carrier)
        .member("write_bytes", plan_.bytes)
        .member("batch_bytes", plan_.batch)
        .member("messages_per_second", messages / wall)
        .member("bytes_per_second", messages * plan_.bytes / wall)
        .member("reads_per_second", static_cast<double>(end_.reads - begin_.reads) / wall)
        .member("guest_cpu_share", static_cast<double>(end_.qemu_ns - begin_.qemu_ns) * 1e-9 / wall)
        .member("reader_cpu_share", static_cast<double>(end_.own_ns - begin_.own_ns) * 1e-9 / wall)
        .member("cpu_ns_per_message",
                static_cast<double>(end_.qemu_ns - begin_.qemu_ns + end_.own_ns - begin_.own_ns) /
                    messages)
        .end_object();
    std::puts(out.c_str());
  }

 private:
  struct Point {
    std::int64_t at = 0;
    std::uint64_t messages = 0;
    std::uint64_t reads = 0;
    std::uint64_t qemu_ns = 0;
    std::uint64_t own_ns = 0;
  };
  Point here(std::int64_t now) const {
    return {now, checker_.seen(), reads_, qemu_cpu_ns(plan_.pid), own_cpu_ns()};
  }

  const Plan& plan_;
  Checker checker_;
  std::uint64_t reads_ = 0;
  std::int64_t first_ns_ = 0;
  Point begin_;
  Point end_;
};

class Source {
 public:
  virtual ~Source() = default;
  // What there is; empty: nothing has come for a while.
  virtual Bytes read() = 0;
};

class Card final : public Source {
 public:
  explicit Card(const std::string& path) {
    const base::Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    struct stat status{};
    if (!file || ::fstat(file.get(), &status) != 0) die_errno("open " + path);
    const auto size = static_cast<std::size_t>(status.st_size);
    void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (at == MAP_FAILED) die_errno("map " + path);
    auto consumer = relay::Consumer::connect_in(static_cast<std::byte*>(at), size);
    if (!consumer) die(consumer.error().message());
    consumer_.emplace(std::move(*consumer));
  }
  Bytes read() override {
    consumer_->take();
    for (int tries = 0; tries < 2; ++tries) {
      const auto look = consumer_->read(piece_);
      if (!look || *look == relay::Look::kBroken) die("the guest's channel is broken");
      if (*look == relay::Look::kLosses) die("the guest has lost messages");
      if (*look == relay::Look::kPiece) return piece_.data;
      consumer_->wait(std::chrono::milliseconds(10));
    }
    return {};
  }

 private:
  std::optional<relay::Consumer> consumer_;
  relay::StreamPiece piece_;
};

class Stream final : public Source {
 public:
  explicit Stream(base::Fd socket) : socket_(std::move(socket)), room_(kReadBytes) {}
  Bytes read() override {
    ssize_t got = ::recv(socket_.get(), room_.data(), room_.size(), MSG_DONTWAIT);
    if (got < 0 && readable(socket_.get(), 10)) {
      got = ::recv(socket_.get(), room_.data(), room_.size(), MSG_DONTWAIT);
    }
    return Bytes(room_).first(got > 0 ? static_cast<std::size_t>(got) : 0);
  }

 private:
  base::Fd socket_;
  std::vector<std::byte> room_;
};

base::Fd listen_for_guest() {
  base::Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kTcpPort);
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), 1) != 0) {
    die_errno("listen for the guest");
  }
  return listener;
}

std::unique_ptr<Source> open_source(const Plan& plan, Control& control, const std::string& order) {
  const bool tcp = plan.carrier == "tcp";
  const bool serial = plan.carrier == "serial";
  const base::Fd listener = tcp ? listen_for_guest() : base::Fd();
  base::Fd port = serial ? connect_to(plan.folder + "/data") : base::Fd();
  control.order(order);
  if (control.line(kPatienceMs) != "ready") die("the guest is not ready");
  if (plan.carrier == "relay") return std::make_unique<Card>(plan.card);
  if (serial) return std::make_unique<Stream>(std::move(port));
  base::Fd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!accepted) die_errno("accept the guest");
  return std::make_unique<Stream>(std::move(accepted));
}

void run(const Plan& plan) {
  Control control(plan);
  const auto milliseconds = static_cast<int>((plan.warm_up + plan.seconds) * 1000) + 300;
  const auto source = open_source(plan, control,
                                  fmt::format("{} {} {} {} {}\n", plan.carrier, plan.bytes,
                                              plan.batch, plan.no_delay ? 1 : 0, milliseconds));
  Measure measure(plan);
  std::optional<std::uint64_t> sent;
  const std::int64_t limit_ns =
      base::monotonic_ns() + (milliseconds + kPatienceMs) * base::kNanosPerMilli;
  while (!sent || !measure.all(*sent)) {
    const Bytes piece = source->read();
    if (!piece.empty()) {
      measure.took(piece);
      continue;
    }
    if (base::monotonic_ns() > limit_ns) {
      die(fmt::format("{} messages came, {} were sent", measure.seen(), sent.value_or(0)));
    }
    if (sent) continue;
    const auto line = control.line(0);
    if (line && line->starts_with("sent ")) sent = std::strtoull(line->c_str() + 5, nullptr, 10);
  }
  measure.print();
}

}  // namespace

int main(int argc, char** argv) {
  apps::CommandLine app("read messages that a guest sends", "guest_stream");
  Plan plan;
  app.add_option("carrier", plan.carrier)
      .required()
      .check(apps::one_of({"relay", "serial", "tcp"}, apps::InHelp::kYes));
  app.add_option("--write", plan.bytes, "bytes of a message");
  app.add_option("--batch", plan.batch, "bytes that the guest sends at once; 0: one message");
  app.add_flag("--no-delay", plan.no_delay, "TCP without Nagle's algorithm");
  app.add_option("--folder", plan.folder, "of the sockets of the guest's ports").required();
  app.add_option("--card", plan.card, "file with its card's memory").required();
  app.add_option("--pid", plan.pid, "of its QEMU").required();
  app.add_option("--seconds", plan.seconds).check(apps::positive());
  app.add_option("--warm-up", plan.warm_up).check(apps::not_negative());
  if (const auto ended = app.parse_or_tell(argc, argv)) return *ended;
  run(plan);
  return 0;
}
