// SPDX-License-Identifier: Apache-2.0
//
// For tests and fuzzers: a sink that keeps all, recorded data, and a page made by hand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fairlead/abi/trace.h"
#include "trace/event_sink.h"
#include "trace/ring_page.h"

namespace fairlead::trace {

struct KeptEvent {
  std::uint16_t stream = 0;
  std::uint64_t stamp = 0;
  abi::BlockEvent block{};
};

class KeepingSink final : public EventSink {
 public:
  void event(std::uint16_t stream, std::uint64_t stamp, const abi::BlockEvent& event) override {
    events.push_back({stream, stamp, event});
  }
  void loss(std::uint16_t, const abi::TraceLoss& loss) override { losses.push_back(loss); }
  void name(const abi::TraceName& name) override { names.push_back(name); }
  void device(const abi::TraceDevice& device) override { devices.push_back(device); }

  std::uint64_t lost() const {
    std::uint64_t sum = 0;
    for (const abi::TraceLoss& loss : losses) sum += loss.records;
    return sum;
  }

  std::vector<KeptEvent> events;
  std::vector<abi::TraceLoss> losses;
  std::vector<abi::TraceName> names;
  std::vector<abi::TraceDevice> devices;
};

// Pages as a kernel writes them.
class PageMaker {
 public:
  explicit PageMaker(std::uint64_t stamp) : page_(PageShape{}.bytes()) { put(0, stamp); }

  PageMaker& data(std::uint32_t delta, std::string_view bytes) {
    const std::size_t words = (bytes.size() + 3) / 4;
    if (words == 0 || words > 28) {
      head(0, delta);
      append(static_cast<std::uint32_t>(words * 4 + 4));
    } else {
      head(static_cast<std::uint32_t>(words), delta);
    }
    if (!bytes.empty()) std::memcpy(page_.data() + 16 + used_, bytes.data(), bytes.size());
    used_ += words * 4;
    return *this;
  }
  // Types 29 to 31: a discarded event of so many bytes, an extend, a stamp.
  PageMaker& special(std::uint32_t type, std::uint64_t low, std::uint32_t second) {
    head(type, low);
    append(second);
    if (type == 29) used_ += second - 4;
    return *this;
  }
  PageMaker& end() {
    head(29, 0);
    return *this;
  }
  // `flags` as in commit; a number behind the last event if it fits.
  std::vector<std::byte> make(std::uint64_t flags = 0, std::uint64_t missing = 0) {
    put(8, used_ | flags);
    if ((flags & (1U << 30)) != 0 && used_ + 8 <= PageShape{}.data_bytes) put(16 + used_, missing);
    return page_;
  }
  std::size_t used() const { return used_; }

 private:
  void head(std::uint32_t type, std::uint64_t delta) {
    append(type | static_cast<std::uint32_t>(delta << 5));
  }
  void append(std::uint32_t word) {
    put(16 + used_, word);
    used_ += 4;
  }
  template <typename T>
  void put(std::size_t at, T value) {
    std::memcpy(page_.data() + at, &value, sizeof value);
  }

  std::vector<std::byte> page_;
  std::size_t used_ = 0;
};

}  // namespace fairlead::trace
