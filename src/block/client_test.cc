// SPDX-License-Identifier: Apache-2.0
//
// Our client against services that misbehave.
#include "block/client.h"

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

  explicit FalseService(Deed deed) : deed_(std::move(deed)) {
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
        closed += (*client)->read(1, bytes) == ReadStatus::kClosed ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(closed, 6);
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
  FalseService service([](ClientPort& port) {
    take_and(port, [&](std::uint32_t slot) {
      abi::BlockGeometry geometry{};
      geometry.first_sector = 10;
      geometry.last_sector = 9;
      geometry.sector_bytes = 512;
      std::memcpy(port.data(slot), &geometry, sizeof geometry);
      port.answer(slot, abi::BlockStatus::kOk, sizeof geometry);
    });
  });
  auto client = Client::connect(options_for(service));
  ASSERT_TRUE(client);
  const auto geometry = (*client)->geometry();
  ASSERT_FALSE(geometry);
  EXPECT_EQ(geometry.error().kind(), base::ErrorKind::kCorrupt);
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
