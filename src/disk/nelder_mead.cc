// SPDX-License-Identifier: Apache-2.0
#include "disk/nelder_mead.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace fairlead::disk {
namespace {

constexpr double kNear = 1e-3;    // of the first steps: a simplex as small as that has ended
constexpr double kSmaller = 0.4;  // than the last one, the simplex that begins anew

class Simplex {
 public:
  using Function = std::function<double(const std::vector<double>&)>;

  Simplex(const Function& function, int calls) : function_(function), calls_(calls) {}

  void begin(const Minimum& around, const std::vector<double>& steps) {
    corners_.assign(1, around);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      std::vector<double> at = around.at;
      at[i] += steps[i];
      corners_.push_back(call(std::move(at)));
    }
  }

  Minimum call(std::vector<double> at) {
    --calls_;
    const double value = function_(at);
    return {std::move(at), value};
  }

  bool may_go_on(const std::vector<double>& steps) const {
    if (calls_ <= 0) return false;
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const auto [least, most] =
          std::ranges::minmax(corners_, {}, [i](const Minimum& corner) { return corner.at[i]; });
      if (most.at[i] - least.at[i] > kNear * std::abs(steps[i])) return true;
    }
    return false;
  }

  // One step: the worst corner is replaced, or all but the best draw near to it.
  void step() {
    std::ranges::sort(corners_, {}, &Minimum::value);
    Minimum& worst = corners_.back();
    const Minimum reflected = call(beyond(-1));
    if (reflected.value < corners_.front().value) {
      Minimum expanded = call(beyond(-2));
      if (expanded.value >= reflected.value) expanded = reflected;
      worst = std::move(expanded);
      return;
    }
    if (reflected.value < corners_[corners_.size() - 2].value) {
      worst = reflected;
      return;
    }
    Minimum contracted = call(beyond(reflected.value < worst.value ? -0.5 : 0.5));
    if (contracted.value < std::min(reflected.value, worst.value)) {
      worst = std::move(contracted);
    } else {
      shrink();
    }
  }

  const Minimum& best() const { return *std::ranges::min_element(corners_, {}, &Minimum::value); }
  bool has_calls() const { return calls_ > 0; }

 private:
  // On the line from the others' centre through the worst, `share` of their distance away.
  std::vector<double> beyond(double share) const {
    const std::vector<double>& worst = corners_.back().at;
    std::vector<double> out(worst.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      double centre = 0;
      for (std::size_t c = 0; c + 1 < corners_.size(); ++c) centre += corners_[c].at[i];
      centre /= static_cast<double>(corners_.size() - 1);
      out[i] = centre + share * (worst[i] - centre);
    }
    return out;
  }

  void shrink() {
    for (std::size_t c = 1; c < corners_.size(); ++c) {
      std::vector<double> at = corners_[c].at;
      for (std::size_t i = 0; i < at.size(); ++i) at[i] = (at[i] + corners_.front().at[i]) / 2;
      corners_[c] = call(std::move(at));
    }
  }

  const Function& function_;
  int calls_;
  std::vector<Minimum> corners_;
};

}  // namespace

Minimum nelder_mead(const std::function<double(const std::vector<double>&)>& function,
                    std::vector<double> begin, const std::vector<double>& steps, int most_calls) {
  Simplex simplex(function, most_calls);
  Minimum best = simplex.call(std::move(begin));
  std::vector<double> reach = steps;
  for (int fruitless = 0; fruitless < 3 && simplex.has_calls();) {
    simplex.begin(best, reach);
    while (simplex.may_go_on(reach)) simplex.step();
    fruitless = simplex.best().value < best.value ? 0 : fruitless + 1;
    best = simplex.best();
    for (double& one : reach) one *= -kSmaller;
  }
  return best;
}

}  // namespace fairlead::disk
