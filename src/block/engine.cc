// SPDX-License-Identifier: Apache-2.0
#include "block/engine.h"

#include <liburing.h>

namespace fairlead::block {
namespace {

bool uring_permitted() noexcept {
  io_uring ring;
  if (::io_uring_queue_init(2, &ring, 0) != 0) return false;
  ::io_uring_queue_exit(&ring);
  return true;
}

}  // namespace

base::Result<std::unique_ptr<Engine>> make_engine(EngineKind kind, const EngineConfig& config) {
  if (kind == EngineKind::kPool || (kind == EngineKind::kAuto && !uring_permitted())) {
    return make_pool_engine(config);
  }
  return make_uring_engine(config);
}

}  // namespace fairlead::block
