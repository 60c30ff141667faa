// SPDX-License-Identifier: Apache-2.0
//
// Runs scenarios under Relacy: unbroken, where each must hold; then with every order of a range of
// sites weakened by one step, and with steps of the protocol left out, where one must fail.  Prints
// what was run and what caught which mutant.
//
// A Protocol gives: Site, Wrong (0: nothing), kOrders in the order of Site, kSiteNames.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <memory>
#include <ostream>
#include <streambuf>
#include <string>
#include <utility>
#include <vector>

#include "relacy.h"

namespace fairlead::model {

// What a run prints, cut to a fixed size: Relacy takes every allocation of its threads for the
// test's own, so a stream that grows would hurt it.
class History : public std::streambuf {
 public:
  History() { setp(text_, text_ + sizeof text_ - 1); }
  // The first line names the scenario, the second says what went wrong.
  const char* text() {
    *pptr() = 0;
    return text_;
  }
  std::string finding() {
    const std::string all = text();
    const std::size_t begin = all.find('\n') + 1;
    return all.substr(begin, all.find('\n', begin) - begin);
  }

 protected:
  int_type overflow(int_type c) override { return c == traits_type::eof() ? 0 : c; }
  std::streamsize xsputn(const char* from, std::streamsize size) override {
    const std::streamsize room = std::min<std::streamsize>(size, epptr() - pptr());
    std::copy(from, from + room, pptr());
    pbump(static_cast<int>(room));
    return size;
  }

 private:
  char text_[1 << 20];
};

struct Scenario {
  const char* name;
  unsigned iterations;  // of the random scheduler; a search takes what it takes
  rl::scheduler_type_e scheduler;
  unsigned bound;  // context switches that nobody is forced to, of the bounded search
  bool (*run)(rl::test_params&);
};

template <typename Test>
bool run_test(rl::test_params& params) {
  return rl::simulate<Test>(params);
}

inline constexpr const char* kSearches[] = {
    "executions at random", "executions, all within the bound", "executions, all there are"};

template <typename Protocol>
class ModelCheck {
 public:
  using Site = typename Protocol::Site;
  struct Exempt {
    Site site;
    std::memory_order order;
    const char* why;
  };
  struct Broken {
    typename Protocol::Wrong step;
    const char* name;
  };

  explicit ModelCheck(std::vector<Scenario> scenarios) : scenarios_(std::move(scenarios)) {}

  // Unbroken, and each of the sites `first` … `last` seen at work.
  void must_hold(Site first, Site last) {
    for (const Scenario& scenario : scenarios_) {
      const auto began = std::chrono::steady_clock::now();
      rl::iteration_t count = 0;
      const auto history = std::make_unique<History>();
      const bool held = run(scenario, ~0u, *history, count);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
      std::printf("%-6s %-22s %9llu %s, %.1f s\n", held ? "holds" : "FAILS", scenario.name,
                  static_cast<unsigned long long>(count), kSearches[scenario.scheduler],
                  took.count());
      if (!held) fail(history->text());
    }
    for (int site = static_cast<int>(first); site <= static_cast<int>(last); ++site) {
      if (accesses[site] == Access::kNone) fail(name_of(site) + " never ran\n");
    }
  }

  void must_catch_orders(Site first, Site last, const std::vector<Exempt>& exempt) {
    for (int site = static_cast<int>(first); site <= static_cast<int>(last); ++site) {
      const std::memory_order order = Protocol::kOrders[site].order;
      for (const std::memory_order weaker : one_weaker(order, accesses[site])) {
        mutant = {.site = site, .order = weaker};
        const std::string name = name_of(site) + ": " + name_of(order) + " -> " + name_of(weaker);
        const char* why = nullptr;
        for (const Exempt& row : exempt) {
          if (static_cast<int>(row.site) == site && row.order == weaker) why = row.why;
        }
        expect_caught(name, why);
      }
    }
  }

  void must_catch(const std::vector<Broken>& broken) {
    for (const Broken& row : broken) {
      mutant = {.wrong = static_cast<int>(row.step)};
      expect_caught(row.name, nullptr);
    }
  }

  int result() const {
    std::printf("%d mutants, %d not caught, %d failures\n", mutants_, missed_, failures_);
    return failures_ == 0 ? 0 : 1;
  }

 private:
  static_assert(std::size(Protocol::kSiteNames) == std::size(Protocol::kOrders));
  static constexpr unsigned kForMutant = 30'000;  // a mutant that lives longer is worth a look

  static std::string name_of(int site) { return Protocol::kSiteNames[site]; }
  static std::string name_of(std::memory_order order) { return rl::format(relacy_order(order)); }

  static std::vector<std::memory_order> one_weaker(std::memory_order order, Access access) {
    using enum std::memory_order;
    if (order == seq_cst && access == Access::kLoad) return {acquire};
    if (order == seq_cst && access == Access::kStore) return {release};
    if (order == seq_cst) return {acq_rel};
    if (order == acq_rel) return {acquire, release};
    if (order == acquire || order == release) return {relaxed};
    return {};
  }

  static bool run(const Scenario& scenario, unsigned most, History& history,
                  rl::iteration_t& count) {
    rl::test_params params;
    std::ostream out(&history);
    std::ostream progress(nullptr);
    params.iteration_count = std::min(scenario.iterations, most);
    params.output_stream = &out;
    params.progress_stream = &progress;
    params.search_type = scenario.scheduler;
    params.context_bound = scenario.bound;
    params.execution_depth_limit = 4000;
    const bool held = scenario.run(params);
    count = params.stop_iteration;
    return held;
  }

  void expect_caught(const std::string& name, const char* exempt) {
    ++mutants_;
    for (const Scenario& scenario : scenarios_) {
      rl::iteration_t count = 0;
      const auto history = std::make_unique<History>();
      if (run(scenario, kForMutant, *history, count)) continue;
      std::printf("caught %-36s by %-20s in execution %6llu: %s\n", name.c_str(), scenario.name,
                  static_cast<unsigned long long>(count), history->finding().c_str());
      if (exempt != nullptr) fail("it stands among the exempt, yet it can be caught\n");
      mutant = {};
      return;
    }
    mutant = {};
    ++missed_;
    std::printf("missed %s%s%s\n", name.c_str(), exempt ? ": exempt, " : "", exempt ? exempt : "");
    if (exempt == nullptr) fail("");
  }

  void fail(const std::string& why) {
    ++failures_;
    std::printf("%s", why.c_str());
    std::fflush(stdout);
  }

  const std::vector<Scenario> scenarios_;
  int mutants_ = 0;
  int missed_ = 0;
  int failures_ = 0;
};

}  // namespace fairlead::model
