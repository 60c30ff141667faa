// SPDX-License-Identifier: Apache-2.0
//
// ClientPort: the service's end of one client: its segment, its ring, its doorbell, and a private
// copy of every request taken from it.  The client may write any byte of the segment at any time;
// nothing here is read from it twice, and nothing decided here depends on what it may change later.
//
// Thread-safety: made by the control thread, then used by the service thread alone; the constant
// part may be read by both.
// Ownership: owns segment and doorbell.  Allocates only in create().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "fairlead/abi/block.h"
#include "fairlead/abi/control.h"
#include "shm/control_socket.h"
#include "shm/ring.h"
#include "shm/ring_segment.h"

namespace fairlead::block {

struct ClientCounts {
  std::uint64_t requests = 0;
  std::uint64_t answered = 0;
  std::uint64_t hits = 0;
  std::uint64_t errors = 0;
  std::uint64_t doorbells = 0;
  std::uint64_t wakes = 0;
};

struct ClientIdentity {
  std::uint32_t number = 0;  // never given before
  std::uint32_t weight = 1;
  shm::PeerIdentity peer;
  std::string name;
};

class ClientPort {
 public:
  static base::Result<std::unique_ptr<ClientPort>> create(ClientIdentity identity,
                                                          const shm::RingSizes& sizes,
                                                          std::uint64_t generation);

  const ClientIdentity& identity() const noexcept { return identity_; }
  std::uint32_t slots() const noexcept { return map_.sizes.slot_count; }
  std::uint32_t data_bytes() const noexcept { return map_.sizes.data_bytes; }
  std::uint64_t segment_bytes() const noexcept { return segment_.size(); }

  // Descriptors for the client.  The segment's is given away: its mapping is all this end needs.
  base::Fd release_segment_fd() noexcept { return segment_.release_descriptor(); }
  base::Result<base::Fd> copy_doorbell_fd() const;
  int doorbell_fd() const noexcept { return doorbell_.get(); }

  // Takes up to out.size() new requests, remembers each under its slot and gives the slots.
  // kFault: an impossible index, or a slot that does not exist or is still in flight.
  int take(std::span<std::uint32_t> slots, std::int64_t now_ns) noexcept;

  const abi::BlockRequest& request(std::uint32_t slot) const noexcept { return taken_[slot]; }
  std::int64_t arrival_ns(std::uint32_t slot) const noexcept { return arrivals_[slot]; }
  std::byte* data(std::uint32_t slot) const noexcept { return map_.data_of(slot); }

  // For a trace: whether the client is to leave marks, and what it said of the last call that was
  // answered in a slot since then; each is given once.  Its stamps are its word.
  void want_marks(bool wanted) noexcept;
  struct Told {
    abi::BlockRequest request;
    abi::RingMark mark;
  };
  std::optional<Told> told(std::uint32_t slot) noexcept;

  // Answers the request of a slot; the client sees it after publish().
  void answer(std::uint32_t slot, abi::BlockStatus status, std::uint32_t bytes) noexcept;
  bool unpublished() const noexcept { return responses_.unpublished(); }
  void publish() noexcept;

  // True: nothing is there and the next request will ring the doorbell.
  bool arm() noexcept { return requests_.arm(); }
  void allow_polling(bool allowed) noexcept;

  // A doorbell was heard.  False: there were more than any honest client rings.
  bool heard() noexcept { return ++counts_.doorbells <= counts_.requests + kSpareDoorbells; }

  ClientCounts& counts() noexcept { return counts_; }
  std::uint32_t outstanding() const noexcept { return outstanding_; }

  // For some time now, each request came alone: one thread calls.
  bool lone_caller() const noexcept { return alone_ == kLoneRequests; }

  // Where the caller of the last request ran: 1 + a processor's number, or 0; what the client says.
  std::uint16_t core_untrusted() const noexcept { return core_; }

 private:
  static constexpr std::uint64_t kSpareDoorbells = 16;
  static constexpr std::uint32_t kLoneRequests = 16;

  ClientPort() = default;
  void connect();

  ClientIdentity identity_;
  shm::Segment segment_;
  shm::RingMap map_;
  base::Fd doorbell_;
  shm::Consumer<shm::Production, abi::BlockRequest> requests_;
  shm::Producer<shm::Production, abi::BlockResponse> responses_;
  std::vector<abi::BlockRequest> taken_;  // op kNone: not in flight
  std::vector<std::int64_t> arrivals_;
  std::vector<abi::BlockRequest> untold_;  // answered while marks are wanted; op kNone: none
  std::vector<abi::BlockRequest> batch_;
  ClientCounts counts_;
  std::uint32_t outstanding_ = 0;
  std::uint32_t alone_ = 0;  // requests in a row with no other in flight
  std::uint16_t core_ = 0;
  bool polling_allowed_ = false;
  bool marks_wanted_ = false;
};

}  // namespace fairlead::block
