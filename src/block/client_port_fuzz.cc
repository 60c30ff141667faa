// SPDX-License-Identifier: Apache-2.0
//
// The block service's end of a client whose memory changes between all calls: a second mapping of
// the segment is written from the input, near to what an honest client writes.  Whatever it does,
// no more is taken than there are slots, none twice, each request stays as it was taken, and every
// answer costs bounded work.
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/fuzz_input.h"
#include "block/client_port.h"
#include "shm/ring_segment.h"

namespace fairlead::block {
namespace {

class HostileClient {
 public:
  HostileClient(base::FuzzInput& input, std::uint32_t slots)
      : input_(input), slots_(slots), busy_(slots) {
    auto port = ClientPort::create(
        {}, {slots, sizeof(abi::BlockRequest), sizeof(abi::BlockResponse), 512}, 1);
    FL_CHECK(port);
    port_ = std::move(*port);
    auto segment = shm::Segment::attach(port_->release_segment_fd(), port_->segment_bytes());
    FL_CHECK(segment);
    segment_ = std::move(*segment);
    auto map = shm::map_ring(segment_, 1, sizeof(abi::BlockRequest), sizeof(abi::BlockResponse));
    FL_CHECK(map);
    map_ = *map;
  }

  void run() {
    while (!input_.empty()) {
      lie();
      if (!step()) return;
    }
  }

 private:
  void lie() {
    auto& produced = map_.control->front.request_produced;
    const std::uint8_t what = input_.byte();
    switch (what % 8) {
      default: {  // a request, mostly right
        abi::BlockRequest request{};
        request.slot = what / 8 == 31 ? slots_ : what / 8 % slots_;
        request.op = abi::BlockOp::kRead;
        request.sector_count = 1;
        request.id = ++sequence_ << 16 | request.slot;
        std::memcpy(map_.requests + (index_++ % slots_) * sizeof request, &request, sizeof request);
        produced.store(index_);
        break;
      }
      case 4: produced.store(index_ + what / 8); break;
      case 5: produced.store(input_.take<std::uint32_t>()); break;
      case 6: {  // any byte of the segment
        const auto at = input_.take<std::uint32_t>() % segment_.size();
        segment_.data()[at] = std::byte{input_.byte()};
        break;
      }
      case 7: map_.control->front.response_event.store(input_.take<std::uint32_t>()); break;
    }
  }

  // False: the port found a fault and is done with.
  bool step() {
    const std::uint8_t what = input_.byte();
    if (what % 4 == 0) {
      port_->arm();
    } else if (what % 4 == 1 && !flight_.empty()) {
      const std::size_t at = what / 4 % flight_.size();
      const abi::BlockRequest taken = flight_[at];
      const abi::BlockRequest& kept = port_->request(taken.slot);
      FL_CHECK(std::memcmp(&kept, &taken, sizeof taken) == 0);
      std::memset(port_->data(taken.slot), 0xff, port_->data_bytes());
      port_->answer(taken.slot, abi::BlockStatus::kOk, 512);
      busy_[taken.slot] = false;
      flight_.erase(flight_.begin() + static_cast<std::ptrdiff_t>(at));
      if (what >= 128) port_->publish();
    } else if (what % 4 == 2) {
      port_->publish();
      FL_CHECK(!port_->unpublished());
    } else {
      std::vector<std::uint32_t> out(what / 4 % (slots_ + 2));
      const int count = port_->take(out, 1);
      if (count == shm::kFault) return false;
      FL_CHECK(count >= 0 && static_cast<std::size_t>(count) <= out.size());
      for (int i = 0; i < count; ++i) {
        const std::uint32_t slot = out[static_cast<std::size_t>(i)];
        FL_CHECK(slot < slots_ && !busy_[slot]);
        busy_[slot] = true;
        flight_.push_back(port_->request(slot));
        FL_CHECK(flight_.back().slot == slot && flight_.back().op != abi::BlockOp::kNone);
      }
    }
    FL_CHECK(port_->outstanding() == flight_.size() && flight_.size() <= slots_);
    FL_CHECK(port_->counts().requests - port_->counts().answered == flight_.size());
    return true;
  }

  base::FuzzInput& input_;
  const std::uint32_t slots_;
  std::unique_ptr<ClientPort> port_;
  shm::Segment segment_;
  shm::RingMap map_;
  std::uint32_t index_ = 0;
  std::uint64_t sequence_ = 0;
  std::vector<bool> busy_;
  std::vector<abi::BlockRequest> flight_;
};

}  // namespace
}  // namespace fairlead::block

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fairlead::base::FuzzInput input(data, size);
  const std::uint32_t slots = 2u << input.byte() % 4;
  fairlead::block::HostileClient(input, slots).run();
  return 0;
}
