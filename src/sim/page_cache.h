// SPDX-License-Identifier: Apache-2.0
//
// A page cache in front of a disk, as a process meets it that reads without O_DIRECT: what is held
// is answered at once, what is not is read together with the pages after it.
//
//     PageCache             which pages are held; the one used longest ago leaves
//     CachedWorkload        what another workload asks for, as the disk behind the cache sees it
//
// Read-ahead is Linux' in its outline: `first_pages` where a process begins, twice as many each
// time that it reads on, `most_pages` at most, to the end of the file or to what is held.  Left
// out: Linux asks for the next pages before the process has come to the end of these; here it
// waits.  A page is held from when it is asked for, so of two that want it one waits; and the
// cache is looked at when a process has had its last answer, not when it has slept.
//
// Thread-safety: none.  Reads of whole pages; writes go through.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "disk/index_list.h"
#include "disk/sector_index.h"
#include "sim/disk_workload.h"

namespace fairlead::sim {

class PageCache {
 public:
  explicit PageCache(std::uint32_t pages) : slots_(pages), index_(pages), order_(pages) {}

  bool holds(std::uint64_t sector) const noexcept;
  bool use(std::uint64_t sector) noexcept;  // false: it is not held
  void insert(std::uint64_t sector) noexcept;

 private:
  std::uint32_t slots_;
  std::uint32_t filled_ = 0;
  disk::SectorIndex index_;
  disk::IndexList order_;  // used longest ago first
};

struct PageCacheShape {
  std::uint32_t pages = 0;
  std::uint32_t first_pages = 4;  // Linux, for reads of one page
  std::uint32_t most_pages = 32;  // Linux: 128 KiB
};

class CachedWorkload final : public DiskWorkload {
 public:
  // A process that finds so many pages in a row asks the disk for nothing any more.
  static constexpr std::uint32_t kMostHits = 100'000;

  CachedWorkload(std::unique_ptr<DiskWorkload> workload, const PageCacheShape& shape);
  std::uint32_t processes() const noexcept override { return workload_->processes(); }
  bool open() const noexcept override { return workload_->open(); }
  std::optional<DiskAsk> next(std::uint32_t process) override;

 private:
  struct Reader {
    std::uint64_t next_sector = 0;  // after its last read of the disk
    std::uint32_t pages = 0;        // of that
  };

  void read_ahead(Reader& reader, DiskAsk& ask);

  const std::unique_ptr<DiskWorkload> workload_;
  const PageCacheShape shape_;
  PageCache cache_;
  std::vector<Reader> readers_;
};

}  // namespace fairlead::sim
