// SPDX-License-Identifier: Apache-2.0
//
// For tests: a front end without any of the client's manners.  It sees the raw ring and may do to
// it whatever a hostile client may.
//
// Thread-safety: none.  Ownership: segment, doorbell and, if registered, the connection.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/result.h"
#include "block/client_port.h"
#include "fairlead/abi/block.h"
#include "shm/peer_call.h"
#include "shm/peer_message.h"
#include "shm/ring.h"
#include "shm/ring_segment.h"

namespace fairlead::block {

class RawFront {
 public:
  // Of a port in the same process.
  static base::Result<RawFront> of(ClientPort& port, std::uint64_t generation) {
    FL_TRY(base::Fd bell, port.copy_doorbell_fd());
    return make(port.release_segment_fd(), port.segment_bytes(), generation, std::move(bell));
  }
  // Registered with a service.
  static base::Result<RawFront> connect(const std::string& socket, std::uint32_t slots,
                                        std::uint32_t data_bytes, std::uint32_t weight = 1) {
    const auto hello = shm::make_hello(slots, data_bytes, weight, "raw");
    FL_TRY(shm::Registration got, shm::register_client(socket, hello, 5 * base::kNanosPerSecond));
    FL_TRY(RawFront front, make(std::move(got.segment), got.welcome.segment_bytes,
                                got.welcome.generation, std::move(got.doorbell)));
    front.number_ = got.welcome.client;
    front.registration_ = std::make_unique<shm::Registration>(std::move(got));
    return front;
  }

  abi::BlockRequest read_of(std::uint32_t slot, std::uint64_t sector,
                            std::uint32_t count = 1) const noexcept {
    abi::BlockRequest request{};
    request.id = 1000 + slot;
    request.sector = sector;
    request.sector_count = count;
    request.slot = slot;
    request.op = abi::BlockOp::kRead;
    return request;
  }
  void push(const abi::BlockRequest& request) noexcept { requests_.push(request); }
  // Shows what was pushed; rings if the other side asked for that.
  void publish() noexcept {
    if (requests_.publish()) ring();
  }
  void ring() const noexcept {
    const std::uint64_t one = 1;
    (void)!::write(bell_.get(), &one, sizeof one);
  }
  int take(std::span<abi::BlockResponse> out) noexcept { return responses_.take(out); }

  const shm::RingMap& map() const noexcept { return map_; }
  std::span<std::byte> data(std::uint32_t slot) const noexcept {
    return {map_.data_of(slot), map_.sizes.data_bytes};
  }
  std::span<std::byte> memory() const noexcept { return {segment_.data(), segment_.size()}; }
  int memory_fd() const noexcept { return segment_.fd(); }
  int bell_fd() const noexcept { return bell_.get(); }
  std::uint32_t number() const noexcept { return number_; }
  shm::Registration& registration() const noexcept { return *registration_; }

 private:
  static base::Result<RawFront> make(base::Fd memory, std::uint64_t bytes, std::uint64_t generation,
                                     base::Fd bell) {
    RawFront front;
    FL_TRY(front.segment_, shm::Segment::attach(std::move(memory), bytes));
    FL_TRY(front.map_, shm::map_ring(front.segment_, generation, sizeof(abi::BlockRequest),
                                     sizeof(abi::BlockResponse)));
    front.bell_ = std::move(bell);
    auto* control = front.map_.control;
    const std::uint32_t slots = front.map_.sizes.slot_count;
    front.requests_ = {control->front.request_produced, control->back.request_event,
                       reinterpret_cast<abi::BlockRequest*>(front.map_.requests), slots};
    front.responses_ = {control->back.response_produced, control->front.response_event,
                        reinterpret_cast<const abi::BlockResponse*>(front.map_.responses), slots};
    return front;
  }

  shm::Segment segment_;
  shm::RingMap map_;
  base::Fd bell_;
  shm::Producer<shm::Production, abi::BlockRequest> requests_;
  shm::Consumer<shm::Production, abi::BlockResponse> responses_;
  std::unique_ptr<shm::Registration> registration_;
  std::uint32_t number_ = 0;
};

}  // namespace fairlead::block
