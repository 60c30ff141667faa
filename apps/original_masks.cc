// SPDX-License-Identifier: Apache-2.0
#include "apps/original_masks.h"

#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "daemon/runtime_dir.h"

namespace fairlead::apps {
namespace {

constexpr std::size_t kMostBytes = std::size_t{64} * 1024 * 1024;

}  // namespace

base::Result<OriginalMasks> OriginalMasks::open() {
  FL_TRY(const auto folder, daemon::RuntimeDir::open(daemon::RuntimeDir::Purpose::kServe));
  OriginalMasks masks(folder.path() + "/vcpu.masks");
  FL_TRY_STATUS(masks.read());
  return masks;
}

base::Status OriginalMasks::read() {
  auto text = base::read_file(path_, kMostBytes);
  if (!text) {
    if (text.error().kind() == base::ErrorKind::kNotFound) return {};
    return base::fail(std::move(text).error());
  }
  try {
    for (const auto& one : nlohmann::json::parse(*text)) {
      FL_TRY(auto allowed, manage::CpuSet::parse(one.at("allowed").get<std::string>()));
      masks_[{one.at("uuid").get<std::string>(), one.at("vcpu").get<std::uint32_t>()}] = {
          one.at("run_id").get<std::int32_t>(), std::move(allowed)};
    }
  } catch (const nlohmann::json::exception& error) {
    return base::fail(base::Error(base::ErrorKind::kCorrupt,
                                  fmt::format("{} is damaged: {}", path_, error.what()))
                          .advise("remove it; the masks of before are lost"));
  }
  return {};
}

base::Status OriginalMasks::write() const {
  std::string text;
  base::JsonWriter json(text);
  json.begin_array();
  for (const auto& [key, mask] : masks_) {
    json.begin_object()
        .member("uuid", key.first)
        .member("vcpu", key.second)
        .member("run_id", mask.run_id)
        .member("allowed", mask.allowed.text())
        .end_object();
  }
  json.end_array();
  return base::write_file_atomic(path_, text, 0600);
}

base::Status OriginalMasks::remember(const std::string& uuid, std::int32_t run_id,
                                     std::uint32_t vcpu, const manage::CpuSet& mask) {
  const auto known = masks_.find({uuid, vcpu});
  if (known != masks_.end() && known->second.run_id == run_id) return {};
  masks_[{uuid, vcpu}] = {run_id, mask};
  return write();
}

base::Result<std::uint32_t> OriginalMasks::restore(manage::Hypervisor& hypervisor) {
  FL_TRY(const manage::Sample sample, hypervisor.sample());
  std::uint32_t restored = 0;
  for (const manage::GuestSample& guest : sample.guests) {
    for (const manage::VcpuSample& vcpu : guest.vcpus) {
      const auto mask = masks_.find({guest.uuid, vcpu.index});
      if (mask == masks_.end() || mask->second.run_id != guest.run_id) continue;
      const auto done = hypervisor.pin(guest.uuid, vcpu.index, mask->second.allowed);
      if (!done && done.error().kind() != base::ErrorKind::kNotFound) {
        return base::fail(base::Error(done.error()));
      }
      if (done) ++restored;
    }
  }
  if (::unlink(path_.c_str()) != 0 && errno != ENOENT) {
    return base::fail_errno(errno, "remove " + path_);
  }
  masks_.clear();
  return restored;
}

}  // namespace fairlead::apps
