// SPDX-License-Identifier: Apache-2.0
//
// MemoryWorld: a simulated hypervisor whose guests use memory, for the memory coordinator.  Virtual
// time, and the same seed gives the same world.
//
// A guest has what its kernel and services use, the anonymous memory of a load, and page cache.
// usable = size − the first two; where it comes to nothing, part of the load goes to the guest's
// swap device, and where that is full, or there is none, the load is killed.  The balloon driver
// begins after a lag, takes only free memory, leaves the last of it alone ("out of puff") and has a
// speed each way.  How far it is, the hypervisor learns at its first move and then at most once a
// second, as QEMU tells and libvirt shows it.  The host gives a page when it is touched first and
// gets it back only from the balloon: what a guest frees stays with it.  Statistics are made by the
// guest at its own times; MemTotal follows the balloon, but not with deflate-on-OOM; and some pages
// that the balloon gave back lie in lists where no figure counts them, until they are used.
//
// The share of the time for which somebody on the host waits for memory grows from nothing, where
// a tenth of the host's memory is available, to all of it where nothing is; what a sample shows is
// the mean of some ten seconds.
//
// Sizes in bytes, rates in bytes per second.  Thread-safety: none.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "manage/hypervisor.h"
#include "manage/memory_manager.h"

namespace fairlead::sim {

enum class MemoryShape : std::uint8_t {
  kFree,         // gives back what it has, cache included, and does nothing
  kHold,         // keeps what it has
  kGrow,         // to the limit, and holds it
  kGrowAndFree,  // to the limit, and frees it
  kSawtooth,     // the same again and again
  kCache,        // reads files: page cache, up to the limit
};

struct MemoryLoad {
  MemoryShape shape = MemoryShape::kHold;
  double rate = 20.0 * manage::kMiB;
  std::uint64_t limit = UINT64_MAX;
  double touch = 0;  // of what it has, used again a second; what lies in swap is read back for that
};

enum class GuestLie : std::uint8_t {
  kNone,
  kMoreThanItHas,  // usable is its size and 1 GiB
  kHuge,           // usable is 2^63
  kNothing,        // usable is 0
  kFrozen,         // the same numbers for ever, with new dates
  kSilent,         // the same date for ever
  kFuture,         // dated an hour ahead
  kPages,          // swaps in 10 GiB/s, with a major fault for each page
};
inline constexpr std::uint64_t kGuestLies = 7;  // but for kNone

struct MemoryGuestOptions {
  std::uint64_t start = 512 * manage::kMiB;
  std::uint64_t maximum = 2048 * manage::kMiB;
  std::uint64_t base = 315 * manage::kMiB;  // used when idle
  std::uint64_t overhead = 0;               // of the hypervisor's process, resident
  double inflate_rate = 400.0 * manage::kMiB;
  double deflate_rate = 800.0 * manage::kMiB;
  std::int64_t lag_ns = 100'000'000;
  std::uint64_t puff = 16 * manage::kMiB;   // the balloon takes no memory below this much usable
  std::uint64_t lists = 32 * manage::kMiB;  // of free pages that no figure counts, at most
  std::uint64_t swap = 0;                   // the guest's own device
  bool deflate_on_oom = false;              // the driver's mode: its MemTotal stays as it is
  bool driver = true;
  bool obeys = true;  // reports, but its balloon does not move
  double boot_s = 0;  // until the driver is there; its size reads maximum until then
  GuestLie lie = GuestLie::kNone;
};

struct MemoryKill {
  std::uint32_t guest = 0;
  std::uint64_t size = 0;
  bool at_maximum = false;
};

class MemoryWorld final : public manage::Hypervisor {
 public:
  explicit MemoryWorld(std::uint64_t host_bytes, std::uint64_t seed = 1);

  // Guests are named "g0", "g1", …; the number is what this returns.
  std::uint32_t add_guest(const MemoryGuestOptions& options);
  void remove_guest(std::uint32_t guest);
  void reboot(std::uint32_t guest);
  void pause(std::uint32_t guest, bool paused);
  void set_load(std::uint32_t guest, const MemoryLoad& load);
  void set_obeys(std::uint32_t guest, bool obeys) { guests_[guest].options.obeys = obeys; }
  void set_foreign(std::uint64_t bytes) { foreign_ = static_cast<double>(bytes); }
  void resize_by_hand(std::uint32_t guest, std::uint64_t bytes);

  void advance(std::int64_t step_ns);

  // The truth, in MiB where it says so.
  struct Truth {
    bool present = false;
    bool paused = false;
    bool driver = false;
    double size_mib = 0;
    double used_mib = 0;
    double usable_mib = 0;
    double target_mib = 0;      // what it was asked for last
    double promised_mib = 0;    // the most it can take without being given more, by what was told
    double swapped_in_mib = 0;  // since it started
  };
  Truth truth(std::uint32_t guest) const;
  std::size_t guests() const noexcept { return guests_.size(); }
  double available_mib() const;        // of the host, now
  double least_available_mib() const;  // since the last call of forget_least()
  void forget_least() { least_available_ = available(); }
  const std::vector<MemoryKill>& kills() const noexcept { return kills_; }

  base::Result<manage::Sample> sample() override;
  base::Status pin(const std::string& uuid, std::uint32_t vcpu,
                   const manage::CpuSet& allowed) override;
  base::Status set_memory(const std::string& uuid, std::uint64_t bytes) override;
  base::Status set_stats_period(const std::string& uuid, std::uint32_t seconds) override;

 private:
  struct Report {
    std::int64_t updated_s = 0;
    std::uint64_t usable = 0;
    std::uint64_t unused = 0;
    std::uint64_t available = 0;
    std::uint64_t swap_in = 0;
    std::uint64_t major_faults = 0;
  };
  struct Guest {
    MemoryGuestOptions options;
    MemoryLoad load;
    std::string uuid;
    std::int32_t run_id = 1;
    bool present = true;
    bool paused = false;
    bool driver_up = false;
    std::int64_t started_ns = 0;
    double size = 0;
    double shown = 0;  // what the hypervisor was told of it last, and when
    std::int64_t shown_ns = 0;
    bool telling = false;  // in the midst of a move
    double target = 0;
    std::int64_t asked_ns = 0;
    double lists = 0;
    double load_bytes = 0;  // in memory
    double swapped = 0;
    double swapped_in = 0;  // since it started
    double cache = 0;
    double resident = 0;
    std::uint32_t period_s = 0;
    std::int64_t next_report_ns = 0;
    Report report;

    double used() const { return static_cast<double>(options.base) + load_bytes; }
    double usable() const { return size - used(); }
  };

  void boot(Guest& guest);
  void step(std::uint32_t number, double seconds);
  void move_balloon(Guest& guest, double seconds) const;
  void run_load(std::uint32_t number, double seconds);
  void page(Guest& guest, double seconds) const;
  static void show_size(Guest& guest, std::int64_t now_ns);
  void make_report(Guest& guest) const;
  manage::BalloonSample balloon_of(const Guest& guest) const;
  double available() const;
  Guest* find(const std::string& uuid);

  double host_bytes_;
  double foreign_ = 0;
  double least_available_ = 0;
  double pressure_ = 0;  // percent
  base::Random random_;
  std::int64_t now_ns_ = 0;
  std::int32_t run_ids_ = 0;
  std::vector<Guest> guests_;
  std::vector<MemoryKill> kills_;
};

}  // namespace fairlead::sim
