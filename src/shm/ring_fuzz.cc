// SPDX-License-Identifier: Apache-2.0
//
// A back end against a front end that changes its mind with every look: each read of a shared word
// or entry gives fresh bytes of the input.  Whatever they are, an end takes no more than there can
// be, touches nothing outside its ring, does bounded work, and writes what it was told.
#include <array>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/fuzz_input.h"
#include "shm/ring.h"

namespace fairlead::shm {
namespace {

base::FuzzInput* fuzzed = nullptr;
std::uint32_t honest_index = 0;  // near which most lies stay
std::uint32_t last_index = 0;    // what the last look gave
int looks = 0;

// Where entries may be read.
const void* entries_begin = nullptr;
const void* entries_end = nullptr;

struct Hostile : Production {
  template <typename T>
  using Entry = T;

  template <Site kSite>
  static std::uint32_t load(const std::atomic<std::uint32_t>&) noexcept {
    ++looks;
    const std::uint8_t how = fuzzed->byte();
    last_index = how < 0xe0   ? honest_index + how % 8
                 : how < 0xf0 ? honest_index - how % 16
                              : fuzzed->take<std::uint32_t>();
    return last_index;
  }
  template <typename T>
  static T read(const T& entry) noexcept {
    ++looks;
    FL_CHECK(&entry >= entries_begin && &entry + 1 <= entries_end);
    return fuzzed->take<T>();
  }
};

struct Entry {
  std::uint64_t id;
  std::uint32_t slot;
  std::uint32_t op;
};

void check(base::FuzzInput& bytes) {
  fuzzed = &bytes;
  const std::uint32_t slots = 2u << bytes.byte() % 5;
  const std::uint32_t first = bytes.byte() % 2 == 0 ? 0 : 0u - slots;
  std::atomic<std::uint32_t> produced{first};
  std::atomic<std::uint32_t> event{first + 1};
  std::atomic<std::uint32_t> told{first};
  std::atomic<std::uint32_t> told_event{first + 1};
  const auto requests = std::make_unique<Entry[]>(slots);
  const auto responses = std::make_unique<Entry[]>(slots);
  entries_begin = requests.get();
  entries_end = requests.get() + slots;
  Consumer<Hostile, Entry> in(produced, event, requests.get(), slots, first);
  Producer<Hostile, Entry> out(told, told_event, responses.get(), slots, first);

  // As a back end keeps account: which slot is in flight.
  std::vector<bool> busy(slots);
  std::vector<std::uint32_t> flight;
  std::uint32_t taken = first;
  std::uint32_t answered = first;
  std::vector<Entry> batch(slots);
  while (!bytes.empty()) {
    honest_index = taken;
    const std::uint8_t step = bytes.byte();
    if (step % 4 == 0) {
      honest_index = answered;
      const std::uint32_t before = told;
      const bool unpublished = out.unpublished();
      const bool notify = out.publish();
      FL_CHECK(told == answered && (unpublished || (!notify && told == before)));
    } else if (step % 4 == 1) {
      looks = 0;
      in.arm();
      FL_CHECK(looks == 1 && event == taken + 1);
    } else if (step % 4 == 2 && !flight.empty()) {
      const std::uint32_t slot = flight[bytes.byte() % flight.size()];
      std::erase(flight, slot);
      busy[slot] = false;
      out.push({slot, slot, 1});
      FL_CHECK(responses[answered % slots].slot == slot);
      ++answered;
    } else {
      const std::size_t most = step / 4 % (slots + 1);
      looks = 0;
      const int count = in.take(std::span(batch).first(most));
      FL_CHECK(looks <= 1 + static_cast<int>(most));
      FL_CHECK((count == kFault) == (last_index - taken > slots));
      if (count == kFault) return;
      FL_CHECK(count >= 0 && static_cast<std::size_t>(count) <= most);
      taken += static_cast<std::uint32_t>(count);
      for (int i = 0; i < count; ++i) {
        const std::uint32_t slot = batch[static_cast<std::size_t>(i)].slot % (slots + 1);
        if (slot >= slots || busy[slot]) return;  // the peer's fault
        busy[slot] = true;
        flight.push_back(slot);
      }
      FL_CHECK(flight.size() <= slots);
    }
  }
}

}  // namespace
}  // namespace fairlead::shm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fairlead::base::FuzzInput input(data, size);
  fairlead::shm::check(input);
  return 0;
}
