// SPDX-License-Identifier: Apache-2.0
//
// Our client against services that misbehave.
#include "block/client.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "block/client_port.h"
#include "block/testing_image.h"
#include "shm/peer_acceptor.h"

namespace fairlead::block {
namespace {

// Welcomes everybody; what it does with their rings is up to the test.
class FalseService final : public shm::RegistrationHandler {
 public:
  using Deed = std::function<void(ClientPort&)>;

  using Bell = std::function<base::Fd(ClientPort&)>;

  explicit FalseService(Deed deed, Bell bell = {})
      : deed_(std::move(deed)), make_bell_(std::move(bell)) {
    auto listener = shm::ControlListener::bind(socket());
    auto acceptor = shm::PeerAcceptor::create(*std::move(listener), *this, clock_);
    acceptor_ = *std::move(acceptor);
    thread_ = std::thread([this] {
      while (*acceptor_->turn(base::kNanosPerMilli)) {
        if (port_) deed_(*port_);
      }
    });
  }
  ~FalseService() override {
    acceptor_->stop();
    thread_.join();
  }

  std::string socket() const { return folder_ / "s.sock"; }
  int welcomed() const noexcept { return welcomed_; }
  void hang_up(const ClientPort& port) { acceptor_->detach(port.identity().number); }

  base::Result<shm::Admission> on_hello(const shm::PeerIdentity& peer,
                                        const abi::ControlHello& hello) override {
    FL_TRY(port_, ClientPort::create({static_cast<std::uint32_t>(++welcomed_), 1, peer, "x"},
                                     {.slot_count = hello.slots,
                                      .request_bytes = sizeof(abi::BlockRequest),
                                      .response_bytes = sizeof(abi::BlockResponse),
                                      .data_bytes = hello.data_bytes},
                                     7));
    segment_ = port_->release_segment_fd();
    FL_TRY(bell_, port_->copy_doorbell_fd());
    if (make_bell_) bell_ = make_bell_(*port_);
    return shm::Admission{.client = port_->identity().number,
                          .generation = 7,
                          .segment_bytes = port_->segment_bytes(),
                          .segment_fd = segment_.get(),
                          .doorbell_fd = bell_.get()};
  }
  void on_hangup(std::uint32_t client) override {
    if (port_ && port_->identity().number == client) port_.reset();
  }
  void on_fault(const shm::PeerFault&) override {}
  std::string on_status() override { return "{}"; }
  void on_stop(shm::SendReport send) override { send("{}"); }

 private:
  TestFolder folder_;
  const Deed deed_;
  const Bell make_bell_;
  base::SystemClock clock_;
  std::unique_ptr<shm::PeerAcceptor> acceptor_;
  std::unique_ptr<ClientPort> port_;
  base::Fd segment_;
  base::Fd bell_;
  std::atomic<int> welcomed_{0};
  std::thread thread_;
};

ClientOptions options_for(const FalseService& service) {
  ClientOptions options;
  options.socket_path = service.socket();
  options.slots = 4;
  options.request_ns = 100 * base::kNanosPerMilli;
  options.reconnect_ns = 200 * base::kNanosPerMilli;
  return options;
}

// Reads from several threads; all must end, none with data.
void expect_no_read_succeeds_or_hangs(const FalseService& service) {
  auto client = Client::connect(options_for(service));
  ASSERT_TRUE(client) << client.error().message();
  std::atomic<int> closed{0};
  {
    std::vector<std::jthread> readers;
    for (int i = 0; i < 6; ++i) {
      readers.emplace_back([&] {
        std::byte bytes[512];
        const ReadStatus status = (*client)->read(1, bytes);
        closed += status == ReadStatus::kClosed || status == ReadStatus::kTimeout ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(closed, 6);
}

// Six readers on four slots may have to wait for each other once; the rest is for the machine.
constexpr std::int64_t kInTime = 3 * base::kNanosPerSecond;

void expect_all_ends_in_time(const FalseService& service) {
  const std::int64_t began = base::monotonic_ns();
  expect_no_read_succeeds_or_hangs(service);
  EXPECT_LT(base::monotonic_ns() - began, kInTime);
}

TEST(ClientOfAFalseService, SilenceIsGivenUpAfterItsTime) {
  FalseService service([](ClientPort&) {});
  expect_no_read_succeeds_or_hangs(service);
  EXPECT_GE(service.welcomed(), 2) << "it did not even try another connection";
}

void take_and(ClientPort& port, const std::function<void(std::uint32_t slot)>& deed) {
  std::uint32_t slots[4];
  const int count = port.take(slots, 0);
  for (int i = 0; i < count; ++i) deed(slots[i]);
  port.publish();
}

TEST(ClientOfAFalseService, AnswersForCallsThatNobodyMadeAreGivenUp) {
  FalseService service([](ClientPort& port) {
    take_and(port, [&](std::uint32_t slot) {
      const_cast<abi::BlockRequest&>(port.request(slot)).id += std::uint64_t{1} << 20;
      port.answer(slot, abi::BlockStatus::kOk, 512);
    });
  });
  expect_no_read_succeeds_or_hangs(service);
}

TEST(ClientOfAFalseService, TheSameAnswerTwiceIsGivenUp) {
  FalseService service([](ClientPort& port) {
    take_and(port, [&](std::uint32_t slot) {
      const auto request = port.request(slot);
      port.answer(slot, abi::BlockStatus::kIoError, 0);
      const_cast<abi::BlockRequest&>(port.request(slot)) = request;
      port.answer(slot, abi::BlockStatus::kIoError, 0);
    });
  });
  auto client = Client::connect(options_for(service));
  ASSERT_TRUE(client);
  std::byte bytes[512];
  ReadStatus status = ReadStatus::kIoError;
  for (int i = 0; i < 1000 && status == ReadStatus::kIoError; ++i)
    status = (*client)->read(1, bytes);
  EXPECT_EQ(status, ReadStatus::kClosed);
}

TEST(ClientOfAFalseService, AnAnswerOfAnotherLengthIsAnErrorAndNoData) {
  FalseService service([](ClientPort& port) {
    take_and(port, [&](std::uint32_t slot) { port.answer(slot, abi::BlockStatus::kOk, 1024); });
  });
  auto client = Client::connect(options_for(service));
  ASSERT_TRUE(client);
  std::byte bytes[512];
  EXPECT_EQ((*client)->read(1, bytes), ReadStatus::kIoError);
}

TEST(ClientOfAFalseService, AnImpossibleGeometryIsRefused) {
  constexpr std::pair<std::uint64_t, std::uint64_t> kFirstAndLast[] = {
      {10, 9}, {0, ~std::uint64_t{0}}, {0, std::uint64_t{1} << 51}, {0, (~std::uint64_t{0}) >> 9}};
  for (const auto& sectors : kFirstAndLast) {
    FalseService service([&sectors](ClientPort& port) {
      take_and(port, [&](std::uint32_t slot) {
        abi::BlockGeometry geometry{};
        geometry.first_sector = sectors.first;
        geometry.last_sector = sectors.second;
        geometry.sector_bytes = 512;
        std::memcpy(port.data(slot), &geometry, sizeof geometry);
        port.answer(slot, abi::BlockStatus::kOk, sizeof geometry);
      });
    });
    auto client = Client::connect(options_for(service));
    ASSERT_TRUE(client);
    const auto geometry = (*client)->geometry();
    ASSERT_FALSE(geometry) << sectors.second;
    EXPECT_EQ(geometry.error().kind(), base::ErrorKind::kCorrupt);
  }
}

TEST(ClientOfAFalseService, ADoorbellThatIsNoneIsRefused) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const base::Fd hears(ends[0]);
  const base::Fd pipe(ends[1]);
  const base::Fd memory(::memfd_create("bell", MFD_CLOEXEC));
  for (const int bell : {pipe.get(), memory.get()}) {
    FalseService service([](ClientPort&) {}, [&](ClientPort&) { return base::Fd(::dup(bell)); });
    const auto client = Client::connect(options_for(service));
    ASSERT_FALSE(client);
    EXPECT_EQ(client.error().message(), "the service's doorbell is no eventfd");
  }
}

// Blocking and full: who rings it waits, for ever if nobody empties it.
base::Fd full_bell(ClientPort& port) {
  auto bell = port.copy_doorbell_fd();
  ::fcntl(bell->get(), F_SETFL, O_NONBLOCK);
  const std::uint64_t most = ~std::uint64_t{0} - 1;
  (void)!::write(bell->get(), &most, sizeof most);
  ::fcntl(bell->get(), F_SETFL, 0);
  return *std::move(bell);
}

TEST(ClientOfAFalseService, AFullDoorbellHoldsNobody) {
  FalseService service([](ClientPort&) {}, full_bell);
  expect_all_ends_in_time(service);
}

TEST(ClientOfAFalseService, AFullDoorbellOfALivelyServiceHoldsNobody) {
  FalseService service(
      [](ClientPort& port) {
        take_and(port, [&](std::uint32_t slot) { port.answer(slot, abi::BlockStatus::kOk, 1024); });
        (void)port.arm();
        (void)full_bell(port);
      },
      full_bell);
  auto client = Client::connect(options_for(service));
  ASSERT_TRUE(client);
  const std::int64_t began = base::monotonic_ns();
  std::byte bytes[512];
  for (ReadStatus status = ReadStatus::kIoError; status == ReadStatus::kIoError;) {
    status = (*client)->read(1, bytes);
    ASSERT_LT(base::monotonic_ns() - began, kInTime);
  }
}

TEST(ClientOfAFalseService, HangingUpAgainAndAgainDoesNotProlongACall) {
  FalseService* self = nullptr;
  FalseService service([&](ClientPort& port) {
    take_and(port, [](std::uint32_t) {});
    if (port.outstanding() > 0 && self != nullptr) self->hang_up(port);
  });
  self = &service;
  expect_all_ends_in_time(service);
}

TEST(ClientOfAFalseService, OneCallLeftOutIsNotWaitedForThoughOthersAreAnswered) {
  FalseService service([left_out = std::int64_t{-1}](ClientPort& port) mutable {
    take_and(port, [&](std::uint32_t slot) {
      if (left_out < 0) left_out = slot;
      if (slot != left_out) port.answer(slot, abi::BlockStatus::kIoError, 0);
    });
  });
  auto client = Client::connect(options_for(service));
  ASSERT_TRUE(client);
  const std::int64_t began = base::monotonic_ns();
  std::atomic<int> ended{0};
  std::atomic<int> late{0};
  {
    std::vector<std::jthread> readers;
    for (int i = 0; i < 3; ++i) {
      readers.emplace_back([&] {
        std::byte bytes[512];
        ReadStatus status = ReadStatus::kIoError;
        while (status == ReadStatus::kIoError) status = (*client)->read(1, bytes);
        ++ended;
        late += status == ReadStatus::kTimeout ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(ended, 3);
  EXPECT_EQ(late, 3);
  EXPECT_LT(base::monotonic_ns() - began, kInTime);
  EXPECT_GE(base::monotonic_ns() - began, options_for(service).request_ns * 7 / 8);
}

TEST(ClientAlone, WithoutAServiceItSaysSoAtOnce) {
  TestFolder folder;
  ClientOptions options;
  options.socket_path = folder / "none.sock";
  const auto client = Client::connect(options);
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().kind(), base::ErrorKind::kNotFound);
}

}  // namespace
}  // namespace fairlead::block
