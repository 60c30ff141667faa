// SPDX-License-Identifier: Apache-2.0
//
// What this module allocates: all of it at the start, and of a cache no more than its budget.  The
// program's operator new counts what it is asked for.  ThreadSanitizer brings its own and lets no
// program replace it: there this file is empty, the other builds run it.
#include "base/sanitizers.h"
#ifndef FL_THREAD_SANITIZED

#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

#include "disk/cache_traces.h"
#include "disk/fair_queue.h"
#include "disk/miss_table.h"
#include "disk/scheduler_table.h"
#include "disk/sector_cache.h"

namespace {

std::uint64_t allocated_bytes = 0;

void* allocate(std::size_t bytes, std::size_t alignment) {
  allocated_bytes += bytes;
  void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t bytes) { return allocate(bytes, 16); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return operator new(bytes, alignment);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace fairlead::disk {
namespace {

TEST(Allocation, ACacheTakesNoMoreThanItsBudgetAndNothingLater) {
  for (const std::uint64_t budget : {5'000U, 100'000U, 2'684'354U}) {
    const std::uint64_t before = allocated_bytes;
    SectorCache cache(budget);
    const std::uint64_t taken = allocated_bytes - before;
    EXPECT_GT(taken, budget * 4 / 5);
    EXPECT_LE(taken + sizeof cache, budget);
    EXPECT_LE(taken + sizeof cache, cache.bytes_used());
    const std::byte bytes[kSectorBytes]{};
    for (std::uint64_t i = 0; i < 50'000; ++i) {
      if (cache.lookup(i * i % 8191) == nullptr) cache.insert(i * i % 8191, bytes);
      if (i % 100 == 0) cache.erase(i);
    }
    cache.clear();
    EXPECT_EQ(allocated_bytes - before, taken);
  }
}

TEST(Allocation, RequestsPassTheQueueWithoutAny) {
  FairQueue queue(16);
  for (std::uint32_t w = 1; w <= 16; ++w) ASSERT_TRUE(queue.add(w, 8));
  const std::uint64_t before = allocated_bytes;
  base::Random random(1);
  for (std::int64_t now = 0; now < 100'000'000; now += 10'000) {
    for (int i = 0; i < 8; ++i) queue.push(static_cast<ClientIndex>(random.below(16)), 0, 1);
    while (const auto pick = queue.next(now)) {
      if (random.below(4) > 0) queue.completed(pick->client);
    }
  }
  EXPECT_EQ(allocated_bytes, before);
}

// Random requests of all owners, half of the slots waiting, a quarter of a millisecond of service.
void pass_many(Scheduler& scheduler, const SchedulerShape& shape, std::vector<Slot>& free) {
  base::Random random(1);
  for (std::int64_t now = 0; now < 2'000'000'000; now += 250'000) {
    while (free.size() > shape.slots / 2) {
      const IoRequest request{.sector = random.below(1'000'000) * 8,
                              .sector_count = 8,
                              .op = random.below(4) == 0 ? IoOp::kWrite : IoOp::kRead,
                              .owner = static_cast<std::uint32_t>(random.below(shape.owners))};
      scheduler.arrived(free.back(), request, now);
      free.pop_back();
    }
    const Decision decision = scheduler.next(now);
    if (decision.kind != Decision::Kind::kDispatch) continue;
    free.insert(free.end(), decision.transfer.slots.begin(), decision.transfer.slots.end());
    scheduler.completed(decision.transfer, now + 250'000);
  }
}

TEST(Allocation, SchedulersOfProcessesTakeMemoryForEachAndNothingLater) {
  const SchedulerShape shape{.slots = 4096, .owners = 4096};
  for (const char* const spec : {"anticipatory", "cfq", "cfq:drain=0"}) {
    const std::uint64_t before = allocated_bytes;
    const auto scheduler = *make_scheduler(spec, shape);
    EXPECT_LT(allocated_bytes - before, 4U << 20) << spec << ": not slots times owners";
    std::vector<Slot> free(shape.slots);
    for (Slot slot = 0; slot < shape.slots; ++slot) free[slot] = slot;
    const std::uint64_t taken = allocated_bytes;
    pass_many(*scheduler, shape, free);
    EXPECT_EQ(allocated_bytes, taken) << spec;
  }
}

TEST(Allocation, MissesPassTheTableWithoutAny) {
  MissTable table(64, 1024);
  const std::uint64_t before = allocated_bytes;
  base::Random random(1);
  std::uint32_t waiters = 0;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    const auto found = table.find_or_start(random.below(200), 1);
    if (found && waiters < 1024) table.join(found->slot, waiters++);
    if (found && i % 2 == 0) table.finish(found->slot, [](std::uint32_t) {});
    if (waiters == 1024) break;
  }
  EXPECT_EQ(waiters, 1024u);
  EXPECT_EQ(allocated_bytes, before);
}

}  // namespace
}  // namespace fairlead::disk

#endif  // FL_THREAD_SANITIZED
