// SPDX-License-Identifier: Apache-2.0
//
// Drive: the figures of one, for whichever model they are for, and the model made of them.
//
// Thread-safety: values.
#pragma once

#include <cstdint>
#include <memory>
#include <variant>

#include "disk/linear_model.h"
#include "disk/mechanical_model.h"
#include "disk/rate_model.h"

namespace fairlead::disk {

using DriveShape = std::variant<LinearShape, MechanicalShape, RateShape>;

inline std::uint64_t sectors_of(const DriveShape& shape) {
  return std::visit([](const auto& one) { return one.sectors; }, shape);
}

std::unique_ptr<DiskModel> make_model(const DriveShape& shape);

}  // namespace fairlead::disk
