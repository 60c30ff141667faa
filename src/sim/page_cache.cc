// SPDX-License-Identifier: Apache-2.0
#include "sim/page_cache.h"

#include <algorithm>
#include <utility>

namespace fairlead::sim {

bool PageCache::holds(std::uint64_t sector) const noexcept {
  return index_.find(sector) != disk::SectorIndex::kNone;
}

bool PageCache::use(std::uint64_t sector) noexcept {
  const std::uint32_t slot = index_.find(sector);
  if (slot == disk::SectorIndex::kNone) return false;
  order_.erase(slot);
  order_.push_back(slot);
  return true;
}

void PageCache::insert(std::uint64_t sector) noexcept {
  if (slots_ == 0 || use(sector)) return;
  const std::uint32_t slot = filled_ < slots_ ? filled_++ : order_.front();
  if (index_.holds(slot)) {
    index_.unlink(slot);
    order_.erase(slot);
  }
  index_.link(slot, sector);
  order_.push_back(slot);
}

CachedWorkload::CachedWorkload(std::unique_ptr<DiskWorkload> workload, const PageCacheShape& shape)
    : workload_(std::move(workload)),
      shape_(shape),
      cache_(shape.pages),
      readers_(workload_->processes()) {}

std::optional<DiskAsk> CachedWorkload::next(std::uint32_t process) {
  std::int64_t after_ns = 0;
  for (std::uint32_t hits = 0; hits < kMostHits; ++hits) {
    auto ask = workload_->next(process);
    if (!ask) return {};
    after_ns += ask->after_ns;
    ask->after_ns = after_ns;
    if (ask->request.op != disk::IoOp::kRead) return ask;
    if (cache_.use(ask->request.sector)) continue;
    read_ahead(readers_[process], *ask);
    return ask;
  }
  return {};
}

void CachedWorkload::read_ahead(Reader& reader, DiskAsk& ask) {
  disk::IoRequest& request = ask.request;
  const bool onwards = request.sector == reader.next_sector && reader.pages > 0;
  const std::uint32_t wanted =
      std::min(onwards ? 2 * reader.pages : shape_.first_pages, shape_.most_pages);
  const std::uint32_t page_sectors = request.sector_count;
  const std::uint64_t begin = request.sector;
  std::uint32_t pages = 1;
  cache_.insert(begin);
  while (pages < wanted && (pages + 1ULL) * page_sectors <= ask.left_sectors &&
         !cache_.holds(begin + std::uint64_t{pages} * page_sectors)) {
    cache_.insert(begin + std::uint64_t{pages} * page_sectors);
    ++pages;
  }
  request.sector_count = pages * page_sectors;
  reader = {.next_sector = begin + request.sector_count, .pages = wanted};
}

}  // namespace fairlead::sim
