// SPDX-License-Identifier: Apache-2.0
#include "apps/original_masks.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "apps/guest_words.h"
#include "base/file.h"
#include "base/json.h"
#include "daemon/runtime_dir.h"
#include "manage/json_fields.h"

namespace fairlead::apps {
namespace {

using base::ErrorKind;
using daemon::RuntimeDir;
using nlohmann::json;

constexpr std::size_t kMostMasksBytes = std::size_t{64} * 1024 * 1024;

base::Result<std::string> boot_id() {
  FL_TRY(std::string text, base::read_file("/proc/sys/kernel/random/boot_id", 128));
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

bool same_run(const OriginalMasks::Run& later, const OriginalMasks::Run& earlier) {
  if (later.id != earlier.id) return false;
  return !later.process_ns || !earlier.process_ns || *later.process_ns >= *earlier.process_ns;
}

// Why it cannot be said that the guest has ended; nullopt: it has.  A sample does not tell, as it
// leaves out guests that sleep.  libvirt looks for the running guest before it looks at the mask,
// and refuses an empty one: so asking changes nothing.
std::optional<std::string> not_ended(manage::Hypervisor& hypervisor, const std::string& uuid,
                                     std::uint32_t vcpu, const std::string& name) {
  const auto asked = hypervisor.pin(uuid, vcpu, manage::CpuSet());
  if (!asked && asked.error().kind() == ErrorKind::kNotFound) return {};
  if (asked || asked.error().kind() == ErrorKind::kInvalid) {
    return "its guest is neither running nor paused nor ended";
  }
  return words_of(asked.error(), uuid, name);
}

}  // namespace

base::Result<OriginalMasks> OriginalMasks::open(std::string uri) {
  FL_TRY(const auto folder, RuntimeDir::open(RuntimeDir::Purpose::kServe));
  return from(folder.path(), std::move(uri));
}

base::Result<OriginalMasks> OriginalMasks::look(std::string uri) {
  const auto folder = RuntimeDir::open(RuntimeDir::Purpose::kUse);
  if (folder) return from(folder->path(), std::move(uri));
  if (folder.error().kind() != ErrorKind::kNotFound) return base::fail(folder.error());
  return OriginalMasks("", std::move(uri));
}

base::Result<OriginalMasks> OriginalMasks::from(const std::string& folder, std::string uri) {
  OriginalMasks masks(folder + "/vcpu.masks", std::move(uri));
  FL_TRY(masks.boot_id_, boot_id());
  if (const auto read = masks.read(); !read) {
    if (read.error().kind() != ErrorKind::kInvalid) return base::fail(read.error());
    return base::fail(
        base::Error(ErrorKind::kCorrupt,
                    fmt::format("{} is damaged ({})", masks.path_, read.error().message()))
            .advise("remove it if the masks of before may be lost"));
  }
  return masks;
}

// kInvalid: what is wrong with the text.
base::Status OriginalMasks::read() {
  auto text = base::read_file(path_, kMostMasksBytes);
  if (!text) {
    if (text.error().kind() == ErrorKind::kNotFound) return {};
    return base::fail(std::move(text).error());
  }
  const json file = json::parse(*text, nullptr, false);
  std::string problem;
  std::string boot;
  manage::JsonFields(file, problem).get("boot_id", boot).each("masks", [&](const json& one) {
    Key key;
    Mask mask;
    manage::JsonFields fields(one, problem);
    fields.get("uuid", key.first)
        .get("vcpu", key.second)
        .get("name", mask.name)
        .get("uri", mask.uri)
        .get("run_id", mask.run.id, 0)
        .get("process_ns", mask.run.process_ns)
        .get("allowed", mask.allowed);
    if (problem.empty() && mask.allowed.empty()) problem = "'allowed' names no processor";
    masks_[key] = std::move(mask);
  });
  if (!problem.empty()) return base::fail(ErrorKind::kInvalid, problem);
  if (boot != boot_id_) masks_.clear();  // every run of then ended with the host
  return {};
}

base::Status OriginalMasks::write() const {
  if (masks_.empty()) {
    if (::unlink(path_.c_str()) == 0 || errno == ENOENT) return {};
    return base::fail_errno(errno, "remove " + path_);
  }
  std::string text;
  base::JsonWriter json(text);
  json.begin_object().member("boot_id", boot_id_).key("masks").begin_array();
  for (const auto& [key, mask] : masks_) {
    json.begin_object()
        .member("uuid", key.first)
        .member("vcpu", key.second)
        .member("name", mask.name)
        .member("uri", mask.uri)
        .member("run_id", mask.run.id);
    if (mask.run.process_ns) json.member("process_ns", *mask.run.process_ns);
    json.member("allowed", mask.allowed.text()).end_object();
  }
  json.end_array().end_object();
  return base::write_file_atomic(path_, text, 0600);
}

// Whether it was not known.
base::Result<bool> OriginalMasks::remember(const manage::Pin& pin, const Run& run) {
  const Key key{pin.uuid, pin.vcpu};
  const auto known = masks_.find(key);
  if (known != masks_.end() && same_run(run, known->second.run)) return false;
  if (pin.before.empty()) return false;  // libvirt did not say: there is nothing to put back
  masks_[key] = {pin.name, uri_, run, pin.before};
  if (auto written = write(); !written) {
    masks_.erase(key);  // the next try has to write it, too
    return base::fail(std::move(written).error());
  }
  return true;
}

base::Status OriginalMasks::pin(manage::Hypervisor& hypervisor, const manage::Pin& pin,
                                const Run& run) {
  FL_TRY(const bool is_new, remember(pin, run));
  auto done = hypervisor.pin(pin.uuid, pin.vcpu, manage::CpuSet::of({pin.pcpu}));
  // After a lost connection nobody knows whether it was carried out.
  if (!done && is_new && done.error().kind() != ErrorKind::kClosed) {
    masks_.erase({pin.uuid, pin.vcpu});
    // The refusal is what the caller has to hear; an entry too many is written over by the next.
    static_cast<void>(write());
  }
  return done;
}

OriginalMasks::Found OriginalMasks::find(const Key& key, const Mask& mask,
                                         const manage::Sample& sample) const {
  const Case otherwise = mask.uri == uri_ ? Case::kNotSeen : Case::kElsewhere;
  const auto guest = std::ranges::find(sample.guests, key.first, &manage::GuestSample::uuid);
  if (guest == sample.guests.end()) return {otherwise, {}};
  if (!same_run(Run::of(*guest), mask.run)) {
    return {mask.uri == uri_ ? Case::kOver : Case::kElsewhere, {}};
  }
  const auto vcpu = std::ranges::find(guest->vcpus, key.second, &manage::VcpuSample::index);
  if (vcpu == guest->vcpus.end()) return {Case::kUnplugged, {}};
  return {Case::kHere, vcpu->allowed};
}

OriginalMasks::Outcome OriginalMasks::put_back(manage::Hypervisor& hypervisor, const Key& key,
                                               const Mask& mask, Case found) {
  const auto& [uuid, vcpu] = key;
  switch (found) {
    case Case::kOver: return {};
    case Case::kElsewhere: return {.kept = "its guest is one of --uri " + mask.uri};
    case Case::kUnplugged: return {.kept = "it is not plugged in"};
    case Case::kNotSeen: return {.kept = not_ended(hypervisor, uuid, vcpu, mask.name)};
    case Case::kHere: break;
  }
  const auto done = hypervisor.pin(uuid, vcpu, mask.allowed);
  if (done) return {.done = true};
  if (done.error().kind() == ErrorKind::kNotFound) return {};  // it ended meanwhile
  return {.kept = words_of(done.error(), uuid, mask.name)};
}

base::Result<OriginalMasks::Restored> OriginalMasks::restore(manage::Hypervisor& hypervisor) {
  FL_TRY(const manage::Sample sample, hypervisor.sample());
  Restored restored;
  for (auto one = masks_.begin(); one != masks_.end();) {
    const auto& [key, mask] = *one;
    const Outcome outcome = put_back(hypervisor, key, mask, find(key, mask, sample).what);
    if (outcome.done) ++restored.vcpus;
    if (outcome.kept) {
      restored.kept.push_back(fmt::format("{} vCPU {}: {}", mask.name, key.second, *outcome.kept));
      ++one;
    } else {
      one = masks_.erase(one);
    }
  }
  FL_TRY_STATUS(write());
  return restored;
}

base::Result<std::vector<std::string>> OriginalMasks::preview(
    manage::Hypervisor& hypervisor) const {
  FL_TRY(const manage::Sample sample, hypervisor.sample());
  std::vector<std::string> lines;
  for (const auto& [key, mask] : masks_) {
    const Found found = find(key, mask, sample);
    if (found.what == Case::kHere && found.now == mask.allowed) continue;  // it is where it was
    std::string what;
    switch (found.what) {
      case Case::kOver: continue;
      case Case::kHere: what = found.now.text() + " -> " + mask.allowed.text(); break;
      case Case::kNotSeen: what = "not seen; kept unless its guest has ended"; break;
      case Case::kElsewhere: what = "kept: its guest is one of --uri " + mask.uri; break;
      case Case::kUnplugged: what = "kept: it is not plugged in"; break;
    }
    lines.push_back(fmt::format("{} vCPU {}: {}", mask.name, key.second, what));
  }
  return lines;
}

}  // namespace fairlead::apps
