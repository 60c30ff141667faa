// SPDX-License-Identifier: Apache-2.0
#include "block/service_trace.h"

#include "relay/stamp.h"

namespace fairlead::block {
namespace {

using abi::BlockAct;
using abi::BlockCategory;

constexpr std::uint32_t bit(BlockCategory category) {
  return std::uint32_t{1} << (16 + static_cast<unsigned>(category));
}

// As the kernel's tracer does: the operation, and the kind of the act.
constexpr std::uint32_t action_of(abi::BlockOp op, BlockAct act) {
  std::uint32_t action = static_cast<std::uint32_t>(act);
  switch (op) {
    case abi::BlockOp::kWrite: action |= bit(BlockCategory::kWrite); break;
    case abi::BlockOp::kDiscard: action |= bit(BlockCategory::kDiscard); break;
    case abi::BlockOp::kFlush: action |= bit(BlockCategory::kFlush); break;
    default: action |= bit(BlockCategory::kRead);
  }
  switch (act) {
    case BlockAct::kIssue: return action | bit(BlockCategory::kIssue);
    case BlockAct::kComplete: return action | bit(BlockCategory::kComplete);
    default: return action | bit(BlockCategory::kQueue);
  }
}

}  // namespace

void ServiceTrace::name(const ClientPort& port) noexcept {
  if (!on_) return;
  abi::TraceName name{static_cast<std::uint32_t>(port.identity().peer.pid), {}, {}};
  port.identity().name.copy(name.name, sizeof name.name);
  producer_->write(static_cast<std::uint16_t>(abi::TraceType::kName), relay::stamp(), &name,
                   sizeof name);
}

void ServiceTrace::left(ClientPort& port) noexcept {
  if (!on_) return;
  for (std::uint32_t slot = 0; slot < port.slots(); ++slot) tell(port, slot);
}

void ServiceTrace::tell(ClientPort& port, std::uint32_t slot) noexcept {
  const auto told = port.told(slot);
  if (!told) return;
  const abi::RingMark& mark = told->mark;
  if (mark.called > mark.posted || mark.posted > mark.seen || mark.seen > relay::stamp()) return;
  write(port, told->request, BlockAct::kQueue, abi::kServiceFrontDevice, mark.called, 0);
  write(port, told->request, BlockAct::kIssue, abi::kServiceFrontDevice, mark.posted, 0);
  write(port, told->request, BlockAct::kComplete, abi::kServiceFrontDevice, mark.seen, 0);
}

void ServiceTrace::put(const ClientPort& port, const abi::BlockRequest& request, BlockAct act,
                       int error) noexcept {
  write(port, request, act, abi::kServiceBackDevice, relay::stamp(), error);
}

void ServiceTrace::write(const ClientPort& port, const abi::BlockRequest& request, BlockAct act,
                         std::uint32_t device, std::uint64_t stamp, int error) noexcept {
  const ClientIdentity& identity = port.identity();
  const abi::BlockEvent event{.sector = request.sector,
                              .request = request.id,
                              .aux = 0,
                              .bytes = request.sector_count * abi::kSectorBytes,
                              .action = action_of(request.op, act),
                              .device = device,
                              .pid = static_cast<std::uint32_t>(identity.peer.pid),
                              .cpu = 0,
                              .error = static_cast<std::uint16_t>(error),
                              .queue = static_cast<std::uint16_t>(identity.number),
                              .vm = 0};
  producer_->write(static_cast<std::uint16_t>(abi::TraceType::kBlock), stamp, &event, sizeof event);
}

}  // namespace fairlead::block
