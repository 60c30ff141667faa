// SPDX-License-Identifier: Apache-2.0
//
// For tests: a whole service in this process, its control thread in the background.
//
// Thread-safety: one thread owns it; its clients may be anywhere.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "block/client.h"
#include "block/service_host.h"
#include "block/testing_image.h"
#include "shm/peer_call.h"

namespace fairlead::block {

class TestService {
 public:
  TestService(const std::string& image, ServiceLimits limits,
              const base::Clock& clock = system_clock(), std::string socket = "",
              std::int64_t beat_ns = 0)
      : socket_(socket.empty() ? folder_ / "s.sock" : std::move(socket)) {
    auto opened = Image::open(image);
    FL_CHECK(opened);
    HostOptions options;
    options.socket_path = socket_;
    options.limits = limits;
    options.log = [this](std::string_view, std::string_view text) {
      const std::lock_guard lock(mutex_);
      said_.emplace_back(text);
    };
    options.beat_ns = beat_ns;
    options.on_beat = [this] { ++beats_; };
    std::promise<void> up;
    auto is_up = up.get_future();
    options.ready = [&up]() -> base::Status {
      up.set_value();
      return {};
    };
    auto host = ServiceHost::create(std::move(*opened), options, clock);
    FL_CHECK(host);
    host_ = *std::move(host);
    thread_ = std::thread([this] {
      auto end = host_->serve();
      FL_CHECK(end);
      end_.set_value(*std::move(end));
    });
    is_up.wait();
  }
  ~TestService() {
    host_->stop();
    if (thread_.joinable()) thread_.join();
  }

  const std::string& socket() const noexcept { return socket_; }
  ServiceHost& host() noexcept { return *host_; }
  std::uint64_t beats() const noexcept { return beats_; }
  // Small limits, so that a test starts fast.
  static ServiceLimits limits() {
    ServiceLimits limits;
    limits.clients = 16;
    limits.slots = 64;
    limits.queue_depth = 64;
    return limits;
  }

  ClientOptions options(std::uint32_t slots = 64, std::uint32_t data_bytes = 512) const {
    ClientOptions options;
    options.socket_path = socket();
    options.slots = slots;
    options.data_bytes = data_bytes;
    options.connect_ns = 10 * base::kNanosPerSecond;
    options.reconnect_ns = 0;
    return options;
  }
  std::unique_ptr<Client> client(std::uint32_t slots = 64, std::uint32_t data_bytes = 512) const {
    auto client = Client::connect(options(slots, data_bytes));
    FL_CHECK(client);
    return *std::move(client);
  }

  std::string status() const { return ask(abi::ControlType::kQueryStatus); }
  std::string ask(abi::ControlType question) const {
    auto report = shm::query_service(socket(), question, 10 * base::kNanosPerSecond);
    return report ? *report : "error: " + report.error().message();
  }

  bool ends_within(std::int64_t limit_ns) {
    return ended_.wait_for(std::chrono::nanoseconds(limit_ns)) == std::future_status::ready;
  }
  // Drains and waits.
  HostEnd stop() {
    host_->stop();
    return ended_.get();
  }
  HostEnd end() { return ended_.get(); }

  // The control thread says it, soon.
  bool said(const std::string& part) {
    return eventually([&] {
      const std::lock_guard lock(mutex_);
      return std::any_of(said_.begin(), said_.end(), [&](const std::string& line) {
        return line.find(part) != std::string::npos;
      });
    });
  }

 private:
  static const base::Clock& system_clock() {
    static const base::SystemClock clock;
    return clock;
  }

  TestFolder folder_;
  const std::string socket_;
  std::mutex mutex_;
  std::vector<std::string> said_;
  std::atomic<std::uint64_t> beats_{0};
  std::unique_ptr<ServiceHost> host_;
  std::promise<HostEnd> end_;
  std::future<HostEnd> ended_ = end_.get_future();
  std::thread thread_;
};

}  // namespace fairlead::block
