// SPDX-License-Identifier: Apache-2.0
#include "disk/drive.h"

namespace fairlead::disk {
namespace {

std::unique_ptr<DiskModel> make(const LinearShape& shape) {
  return std::make_unique<LinearModel>(shape);
}
std::unique_ptr<DiskModel> make(const MechanicalShape& shape) {
  return std::make_unique<MechanicalModel>(shape);
}
std::unique_ptr<DiskModel> make(const RateShape& shape) {
  return std::make_unique<RateModel>(shape);
}

}  // namespace

std::unique_ptr<DiskModel> make_model(const DriveShape& shape) {
  return std::visit([](const auto& one) { return make(one); }, shape);
}

}  // namespace fairlead::disk
