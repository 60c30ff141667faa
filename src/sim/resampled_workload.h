// SPDX-License-Identifier: Apache-2.0
//
// ResampledWorkload: what the processes of a trace might as well have asked, without an end.  The
// order, the places and the pauses are the trace's.
//
//     closed loop   a process asks when it has its last answer and has thought as long as it did.
//                   Each begins anywhere in what it did, and goes round: so they meet otherwise
//     open loop     requests come at their distances from each other, whatever the disk does, in
//                   stretches of a twentieth of the trace, chosen by chance and put one behind the
//                   other (the circular block bootstrap of Politis and Romano, 1992)
//
// A place where two stretches meet breaks what is read onwards: a closed loop has few of them.
//
// Thread-safety: none.  Borrows the chains.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/random.h"
#include "disk/request_trace.h"
#include "sim/disk_workload.h"

namespace fairlead::sim {

enum class Loop : std::uint8_t { kClosed, kOpen };

// Who asks, one after the other: each process; in an open loop all of them.
struct Chains {
  Loop loop = Loop::kClosed;
  std::vector<std::vector<DiskAsk>> chains;  // none of them empty
  std::uint32_t owners = 1;                  // numbers below
  std::uint64_t early = 0;  // asked before their process had its last answer: it does not wait
};

// Of what arrived after the first `warm_up` requests.  In a closed loop requests whose end is not
// known are left out.
Chains chains_of(const disk::RequestTrace& trace, Loop loop, std::size_t warm_up = 0);

class ResampledWorkload final : public DiskWorkload {
 public:
  ResampledWorkload(const Chains& chains, std::uint64_t seed);

  std::uint32_t processes() const noexcept override {
    return static_cast<std::uint32_t>(places_.size());
  }
  bool open() const noexcept override { return chains_.loop == Loop::kOpen; }
  std::optional<DiskAsk> next(std::uint32_t process) override;

 private:
  struct Place {
    base::Random random;
    std::size_t next = 0;
    std::size_t left = 0;  // of the stretch
  };

  const Chains& chains_;
  std::vector<Place> places_;
};

}  // namespace fairlead::sim
