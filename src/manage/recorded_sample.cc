// SPDX-License-Identifier: Apache-2.0
#include "manage/recorded_sample.h"

#include <set>

#include <fmt/format.h>

#include "base/quote.h"
#include "manage/json_fields.h"

namespace fairlead::manage {
namespace {

using Json = nlohmann::json;

// `what` is told if the key was there before.
template <typename Key>
void once(std::set<Key>& seen, const Key& key, std::string& problem, const std::string& what) {
  if (!seen.insert(key).second && problem.empty()) problem = what + " is there twice";
}

PcpuSample pcpu_from(const Json& json, std::string& problem) {
  PcpuSample pcpu;
  JsonFields(json, problem)
      .get("cpu", pcpu.cpu, 0U, CpuSet::kMostCpus - 1)
      .get("busy_ns", pcpu.busy_ns)
      .get("core", pcpu.core)
      .get("cache", pcpu.cache)
      .get("node", pcpu.node);
  return pcpu;
}

VcpuSample vcpu_from(const Json& json, std::string& problem) {
  VcpuSample vcpu;
  JsonFields(json, problem)
      .get("index", vcpu.index)
      .get("online", vcpu.online)
      .get("run_ns", vcpu.run_ns)
      .get("delay_ns", vcpu.delay_ns)
      .get("allowed", vcpu.allowed);
  return vcpu;
}

BalloonSample balloon_from(const Json& json, std::string& problem) {
  BalloonSample balloon;
  JsonFields(json, problem)
      .get("current_bytes", balloon.current_bytes)
      .get("maximum_bytes", balloon.maximum_bytes)
      .get("rss_bytes", balloon.rss_bytes)
      .get("usable_bytes", balloon.usable_bytes)
      .get("unused_bytes", balloon.unused_bytes)
      .get("available_bytes", balloon.available_bytes)
      .get("swap_in_bytes", balloon.swap_in_bytes)
      .get("major_faults", balloon.major_faults)
      .get("updated_s", balloon.updated_s);
  return balloon;
}

GuestSample guest_from(const Json& json, std::string& problem) {
  GuestSample guest;
  unsigned state = 0;
  JsonFields fields(json, problem);
  fields.get("uuid", guest.uuid)
      .get("name", guest.name)
      .get("run_id", guest.run_id)
      .get("state", state, 0U, static_cast<unsigned>(GuestState::kOther))
      .get("memory_node", guest.memory_node)
      .get("process_ns", guest.process_ns);
  guest.state = static_cast<GuestState>(state);
  std::set<std::uint32_t> seen;
  fields.each("vcpus", [&](const Json& one) {
    guest.vcpus.push_back(vcpu_from(one, problem));
    const std::uint32_t index = guest.vcpus.back().index;
    once(seen, index, problem, fmt::format("vCPU {} of guest {}", index, base::quoted(guest.name)));
  });
  if (fields.has("helpers_allowed")) fields.get("helpers_allowed", guest.helpers_allowed);
  if (fields.has("memory")) guest.memory = balloon_from(json["memory"], problem);
  return guest;
}

}  // namespace

Sample recorded_sample(const Json& json, std::string& problem) {
  Sample sample;
  JsonFields fields(json, problem);
  fields.get("at_ns", sample.at_ns, std::int64_t{0})
      .get("wall_s", sample.wall_s, std::int64_t{0})
      .get("total_bytes", sample.memory.total_bytes)
      .get("available_bytes", sample.memory.available_bytes)
      .get("pressure_some", sample.memory.pressure_some, 0.0, 100.0);
  std::set<std::uint32_t> cpus;
  fields.each("pcpus", [&](const Json& one) {
    sample.pcpus.push_back(pcpu_from(one, problem));
    const std::uint32_t cpu = sample.pcpus.back().cpu;
    once(cpus, cpu, problem, fmt::format("processor {}", cpu));
  });
  std::set<std::string> guests;
  fields.each("guests", [&](const Json& one) {
    sample.guests.push_back(guest_from(one, problem));
    const GuestSample& guest = sample.guests.back();
    once(guests, guest.uuid, problem, "guest " + base::quoted(guest.uuid));
  });
  return sample;
}

}  // namespace fairlead::manage
