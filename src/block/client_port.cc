// SPDX-License-Identifier: Apache-2.0
#include "block/client_port.h"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace fairlead::block {

base::Result<std::unique_ptr<ClientPort>> ClientPort::create(ClientIdentity identity,
                                                             const shm::RingSizes& sizes,
                                                             std::uint64_t generation) {
  std::unique_ptr<ClientPort> port(new ClientPort);
  port->identity_ = std::move(identity);
  FL_TRY(port->segment_, shm::create_ring_segment("fairlead-ring", sizes, generation));
  FL_TRY(port->map_,
         shm::map_ring(port->segment_, generation, sizes.request_bytes, sizes.response_bytes));
  port->doorbell_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!port->doorbell_) return base::fail_errno(errno, "create a doorbell");
  port->connect();
  return port;
}

base::Result<base::Fd> ClientPort::copy_doorbell_fd() const {
  base::Fd copy(::fcntl(doorbell_.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return base::fail_errno(errno, "copy a doorbell");
  return copy;
}

void ClientPort::connect() {
  auto* control = map_.control;
  const std::uint32_t slots = map_.sizes.slot_count;
  requests_ = {control->front.request_produced, control->back.request_event,
               reinterpret_cast<const abi::BlockRequest*>(map_.requests), slots};
  responses_ = {control->back.response_produced, control->front.response_event,
                reinterpret_cast<abi::BlockResponse*>(map_.responses), slots};
  taken_.resize(slots);
  arrivals_.resize(slots);
  untold_.resize(slots);
  batch_.resize(slots);
}

int ClientPort::take(std::span<std::uint32_t> slots, std::int64_t now_ns) noexcept {
  const std::size_t most = std::min(slots.size(), batch_.size());
  const int count = requests_.take(std::span(batch_).first(most));
  for (int i = 0; i < count; ++i) {
    const abi::BlockRequest& request = batch_[static_cast<std::size_t>(i)];
    if (request.slot >= taken_.size() || taken_[request.slot].op != abi::BlockOp::kNone ||
        request.op == abi::BlockOp::kNone) {
      return shm::kFault;
    }
    taken_[request.slot] = request;
    arrivals_[request.slot] = now_ns;
    slots[static_cast<std::size_t>(i)] = request.slot;
  }
  if (count > 0) {
    counts_.requests += static_cast<std::uint64_t>(count);
    const auto taken = static_cast<std::uint32_t>(count);
    outstanding_ += taken;
    core_ = batch_[taken - 1].core;
    alone_ = outstanding_ == 1 ? std::min(alone_ + 1, kLoneRequests) : 0;
  }
  return count;
}

void ClientPort::answer(std::uint32_t slot, abi::BlockStatus status, std::uint32_t bytes) noexcept {
  responses_.push({taken_[slot].id, bytes, status, 0});
  if (marks_wanted_) untold_[slot] = taken_[slot];
  taken_[slot].op = abi::BlockOp::kNone;
  --outstanding_;
  ++counts_.answered;
  if (status != abi::BlockStatus::kOk) ++counts_.errors;
}

void ClientPort::publish() noexcept {
  if (!responses_.publish()) return;
  ++counts_.wakes;
  shm::Production::wake_one(responses_.produced(), shm::FutexScope::kShared);
}

void ClientPort::allow_polling(bool allowed) noexcept {
  if (allowed == polling_allowed_) return;
  polling_allowed_ = allowed;
  map_.control->back.may_poll.store(allowed ? 1 : 0, std::memory_order_relaxed);
}

void ClientPort::want_marks(bool wanted) noexcept {
  if (wanted == marks_wanted_) return;
  marks_wanted_ = wanted;
  if (!wanted) std::ranges::fill(untold_, abi::BlockRequest{});
  map_.control->back.trace.store(wanted ? 1 : 0, std::memory_order_relaxed);
}

// A mark of another call is an older one, or nonsense.
std::optional<ClientPort::Told> ClientPort::told(std::uint32_t slot) noexcept {
  const abi::BlockRequest request = std::exchange(untold_[slot], {});
  if (request.op == abi::BlockOp::kNone) return std::nullopt;
  const Told told{request, shm::Production::read(map_.marks[slot])};
  if (told.mark.id != request.id) return std::nullopt;
  return told;
}

}  // namespace fairlead::block
