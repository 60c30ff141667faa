// SPDX-License-Identifier: Apache-2.0
//
// Open → Connect → Write → Read → Disconnect → Close (document 003, slide 12), and every other
// order of up to five calls, each of them as often as fits: what each call gives, what the counters
// say, and that nothing is left when both sides are gone.  The document's two warnings are among
// them: Open, Write, Connect, Read, and Close before Disconnect.
//
// A model of a dozen lines says what is right.  Once through the C++ classes, once through the C
// library.
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/sanitizers.h"
#include "relay/c_api.h"
#include "relay/consumer.h"
#include "relay/presence.h"
#include "relay/producer.h"
#include "relay/registry.h"

namespace fairlead::relay {
namespace {

using base::ErrorKind;
using daemon::RuntimeDir;

constexpr std::size_t kLongest = base::kSanitized ? 4 : 5;
constexpr char kCalls[] = "OCWRDX";

// What a call gives, in words that both have.
enum class Gives { kFine, kAlready, kNobody, kBusy, kGone, kNoObject };

struct Answer {
  Gives gives = Gives::kFine;
  std::uint64_t records = 0;  // read
  std::uint64_t lost = 0;     // told
  bool drained = false;
  bool operator==(const Answer&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Answer& answer) {
  return out << "outcome " << static_cast<int>(answer.gives) << ", " << answer.records
             << " records, " << answer.lost << " lost" << (answer.drained ? ", drained" : "");
}

// The calls, where there is an object at all.
class InCpp {
 public:
  static constexpr bool kNullIsAnObject = false;

  explicit InCpp(const std::string& path) : folder_(*RuntimeDir::open_at(path, kServe)) {}

  Answer open() {
    auto opened = Producer::open({.streams = 1, .sub_buffer_bytes = 4096, .sub_buffers = 4});
    auto announced = Announcement::make(folder_, "order", *opened);
    if (!announced) return of(announced.error());
    announcement_.reset();
    producer_ = std::move(*opened);
    announcement_.emplace(std::move(*announced));
    return {};
  }
  Answer connect() {
    auto connected = connect_by_name(folder_, "order");
    if (!connected) return of(connected.error());
    consumer_ = std::move(*connected);
    return {};
  }
  Answer write() {
    switch (producer_->write(1, "x", 1)) {
      case Written::kDone: return {};
      case Written::kNobody: return {Gives::kNobody};
      case Written::kClosed: return {Gives::kGone};
      default: return {Gives::kBusy};
    }
  }
  Answer read() {
    Answer all;
    StreamPiece piece;
    for (;;) {
      const auto look = consumer_->read(piece);
      if (!look) return of(look.error());
      if (*look == Look::kEmpty) return all;
      all.records += piece.records;
      all.lost += piece.losses.records();
      consumer_->take();
    }
  }
  Answer disconnect() {
    const auto status = consumer_->disconnect();
    return status ? Answer{} : of(status.error());
  }
  Answer close() {
    const auto drained = producer_->close({});
    announcement_.reset();
    if (!drained) return of(drained.error());
    return {.drained = *drained};
  }
  std::uint64_t wrong_calls() const {
    return (producer_ ? producer_->wrong_calls() : 0) + (consumer_ ? consumer_->wrong_calls() : 0);
  }
  void free_producer() {
    announcement_.reset();
    producer_.reset();
  }
  void free_consumer() { consumer_.reset(); }

 private:
  static constexpr auto kServe = RuntimeDir::Purpose::kServe;
  static Answer of(const base::Error& error) {
    switch (error.kind()) {
      case ErrorKind::kExists: return {Gives::kAlready};
      case ErrorKind::kNotFound: return {Gives::kNobody};
      case ErrorKind::kBusy: return {Gives::kBusy};
      case ErrorKind::kClosed: return {Gives::kGone};
      default: ADD_FAILURE() << error.message(); return {Gives::kNoObject};
    }
  }

  RuntimeDir folder_;
  std::optional<Producer> producer_;
  std::optional<Announcement> announcement_;
  std::optional<Consumer> consumer_;
};

class InC {
 public:
  static constexpr bool kNullIsAnObject = true;

  explicit InC(const std::string& path) { ::setenv("FAIRLEAD_RUNTIME_DIR", path.c_str(), 1); }
  ~InC() { ::unsetenv("FAIRLEAD_RUNTIME_DIR"); }

  Answer open() {
    fl_relay_options options{};
    options.streams = 1;
    options.sub_buffer_bytes = 4096;
    options.sub_buffers = 4;
    fl_relay_producer* opened = nullptr;
    const int status = fl_relay_open("order", &options, &opened);
    if (status < 0) return of(status);
    free_producer();
    producer_ = opened;
    return {};
  }
  Answer connect() {
    fl_relay_consumer* connected = nullptr;
    const int status = fl_relay_connect("order", &connected);
    if (status < 0) return of(status);
    free_consumer();
    consumer_ = connected;
    return {};
  }
  Answer write() {
    switch (fl_relay_write(producer_, 1, "x", 1)) {
      case FL_RELAY_WRITTEN: return {};
      case FL_RELAY_NOBODY: return {Gives::kNobody};
      case FL_RELAY_CLOSED: return {producer_ == nullptr ? Gives::kNoObject : Gives::kGone};
      default: return {Gives::kBusy};
    }
  }
  Answer read() {
    Answer all;
    fl_relay_record record;
    for (;;) {
      const int found = fl_relay_read(consumer_, &record);
      if (found == 0 || found == -EPIPE) return all;
      if (found < 0) return of(found);
      all.records += found == 1;
      all.lost += record.losses.state;
    }
  }
  Answer disconnect() { return of(fl_relay_disconnect(consumer_)); }
  Answer close() {
    const int drained = fl_relay_close(producer_, 0);
    if (drained < 0) return of(drained);
    return {.drained = drained == 1};
  }
  std::uint64_t wrong_calls() const {
    return fl_relay_producer_wrong_calls(producer_) + fl_relay_consumer_wrong_calls(consumer_);
  }
  void free_producer() { fl_relay_producer_free(std::exchange(producer_, nullptr)); }
  void free_consumer() { fl_relay_consumer_free(std::exchange(consumer_, nullptr)); }

 private:
  static Answer of(int status) {
    switch (-status) {
      case 0: return {};
      case EEXIST: return {Gives::kAlready};
      case ENOENT: return {Gives::kNobody};
      case EBUSY: return {Gives::kBusy};
      case ENOTCONN: return {Gives::kGone};
      case EBADF: return {Gives::kNoObject};
      default: ADD_FAILURE() << fl_relay_error(); return {Gives::kNoObject};
    }
  }

  fl_relay_producer* producer_ = nullptr;
  fl_relay_consumer* consumer_ = nullptr;
};

// What is right.
struct Model {
  enum Side { kNone, kThere, kGone };
  Side producer = kNone;
  Side consumer = kNone;
  bool same_channel = false;  // the consumer is connected to what is open now
  std::uint64_t written = 0;  // and not read; of each channel its own
  std::uint64_t lost = 0;     // and not told
  std::uint64_t left = 0;     // in the channel that is not open any more, but connected to
  std::uint64_t left_lost = 0;
  std::uint64_t producer_calls = 0;  // wrong ones, of the objects there are
  std::uint64_t consumer_calls = 0;
  std::uint64_t refused = 0;

  Answer call(char what) {
    switch (what) {
      case 'O': return open();
      case 'C': return connect();
      case 'W': return write();
      case 'R': return read();
      case 'D': return disconnect();
      default: return close();
    }
  }
  Answer refuse(Gives why) {
    ++refused;
    return {why};
  }
  Answer open() {
    if (producer == kThere) return refuse(Gives::kAlready);
    if (same_channel) {
      left = written;
      left_lost = lost;
    }
    producer = kThere;
    same_channel = false;
    written = lost = producer_calls = 0;
    return {};
  }
  Answer connect() {
    if (producer != kThere) return refuse(Gives::kNobody);
    if (same_channel && consumer == kThere) return refuse(Gives::kBusy);
    consumer = kThere;
    same_channel = true;
    left = left_lost = consumer_calls = 0;
    return {};
  }
  Answer write() {
    if (producer == kNone) return refuse(Gives::kNoObject);
    if (producer == kThere && same_channel && consumer == kThere) {
      ++written;
      return {};
    }
    ++lost;
    return {producer == kGone ? Gives::kGone : Gives::kNobody};
  }
  Answer read() {
    if (consumer == kNone) return refuse(Gives::kNoObject);
    if (consumer == kGone) {
      ++consumer_calls;
      return {Gives::kGone};
    }
    if (!same_channel)
      return {.records = std::exchange(left, 0), .lost = std::exchange(left_lost, 0)};
    return {.records = std::exchange(written, 0), .lost = std::exchange(lost, 0)};
  }
  Answer disconnect() {
    if (consumer == kNone) return refuse(Gives::kNoObject);
    if (consumer == kGone) {
      ++consumer_calls;
      return {Gives::kGone};
    }
    consumer = kGone;
    return {};
  }
  Answer close() {
    if (producer == kNone) return refuse(Gives::kNoObject);
    if (producer == kGone) {
      ++producer_calls;
      return {Gives::kGone};
    }
    producer = kGone;
    return {.drained = written == 0};
  }
};

// In C++ there is nothing to call before it is made.
bool has_object_for(char what, const std::string& before) {
  Model model;
  for (const char call : before) model.call(call);
  if (what == 'W' || what == 'X') return model.producer != Model::kNone;
  if (what == 'R' || what == 'D') return model.consumer != Model::kNone;
  return true;
}

// Mappings of channels, and descriptors of this process.
std::pair<int, int> held() {
  std::ifstream maps("/proc/self/maps");
  int mappings = 0;
  for (std::string line; std::getline(maps, line);) {
    mappings += line.find("memfd:fairlead-relay") != std::string::npos;
  }
  int descriptors = 0;
  for ([[maybe_unused]] const auto& one : std::filesystem::directory_iterator("/proc/self/fd")) {
    ++descriptors;
  }
  return {mappings, descriptors};
}

template <typename Calls>
class RelayCallOrder : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "relay-order-" + std::to_string(::getpid());
    calls_.emplace(path_);
  }
  void TearDown() override {
    calls_.reset();
    std::filesystem::remove_all(path_);
  }

  Answer call(char what) {
    switch (what) {
      case 'O': return calls_->open();
      case 'C': return calls_->connect();
      case 'W': return calls_->write();
      case 'R': return calls_->read();
      case 'D': return calls_->disconnect();
      default: return calls_->close();
    }
  }

  void run(const std::string& order) {
    Model model;
    const std::uint64_t refused = refused_calls();
    for (std::size_t i = 0; i < order.size(); ++i) {
      ASSERT_EQ(call(order[i]), model.call(order[i])) << order << ", call " << i + 1;
    }
    ASSERT_EQ(calls_->wrong_calls(), model.producer_calls + model.consumer_calls) << order;
    ASSERT_EQ(refused_calls() - refused, model.refused) << order;
    // Either side may go first.
    if (order.back() < 'R') calls_->free_producer();
    calls_->free_consumer();
    calls_->free_producer();
  }

  // Each order of so many calls.
  void run_all(std::string& order, std::size_t calls) {
    if (order.size() == calls) {
      run(order);
      return;
    }
    for (const char* what = kCalls; *what != 0 && !this->HasFatalFailure(); ++what) {
      if (!Calls::kNullIsAnObject && !has_object_for(*what, order)) continue;
      order.push_back(*what);
      run_all(order, calls);
      order.pop_back();
    }
  }

  std::string path_;
  std::optional<Calls> calls_;
};

using Both = ::testing::Types<InCpp, InC>;
TYPED_TEST_SUITE(RelayCallOrder, Both);

TYPED_TEST(RelayCallOrder, EachIsDefinedCountedAndLeavesNothing) {
  this->run("OCWRDX");  // makes what is made once
  const auto before = held();
  for (std::size_t calls = 1; calls <= kLongest && !this->HasFatalFailure(); ++calls) {
    std::string order;
    this->run_all(order, calls);
    ASSERT_EQ(held(), before) << "some order of " << calls << " calls leaks";
  }
}

}  // namespace
}  // namespace fairlead::relay
