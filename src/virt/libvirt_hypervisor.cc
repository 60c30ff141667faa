// SPDX-License-Identifier: Apache-2.0
#include "virt/libvirt_hypervisor.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <map>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "virt/local_uri.h"

namespace fairlead::virt {
namespace {

using base::ErrorKind;
using manage::BalloonSample;
using manage::CpuSet;
using manage::GuestSample;
using manage::VcpuSample;

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint32_t kMostVcpus = 4096;  // a driver's word is no reason to allocate without end

struct FreeDomain {
  void operator()(virDomainPtr domain) const { virDomainFree(domain); }
};
using Domain = std::unique_ptr<virDomain, FreeDomain>;

ErrorKind kind_of(const virError* error) {
  if (error == nullptr) return ErrorKind::kIo;
  switch (error->code) {
    case VIR_ERR_NO_DOMAIN:
    case VIR_ERR_OPERATION_INVALID:  // "domain is not running"
      return ErrorKind::kNotFound;
    case VIR_ERR_OPERATION_DENIED:
    case VIR_ERR_ACCESS_DENIED:
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_AUTH_CANCELLED: return ErrorKind::kDenied;
    case VIR_ERR_OPERATION_TIMEOUT: return ErrorKind::kBusy;
    case VIR_ERR_NO_SUPPORT:
    case VIR_ERR_CONFIG_UNSUPPORTED:
    case VIR_ERR_OPERATION_UNSUPPORTED:
    case VIR_ERR_ARGUMENT_UNSUPPORTED: return ErrorKind::kUnsupported;
    case VIR_ERR_INVALID_ARG: return ErrorKind::kInvalid;
    default: return ErrorKind::kIo;
  }
}

std::string last_words() {
  const virError* error = virGetLastError();
  return error == nullptr || error->message == nullptr ? "no reason given" : error->message;
}

// Drivers without live changes refuse the flag, as an argument or as something they cannot do.
bool refuses_live() {
  const ErrorKind kind = kind_of(virGetLastError());
  return kind == ErrorKind::kUnsupported || kind == ErrorKind::kInvalid;
}

// Typed parameters of one domain.
class Stats {
 public:
  explicit Stats(const virDomainStatsRecord& record)
      : params_(record.params, static_cast<std::size_t>(std::max(record.nparams, 0))) {}

  std::optional<std::uint64_t> number(const std::string& field) const {
    for (const virTypedParameter& param : params_) {
      if (field != param.field) continue;
      switch (param.type) {
        case VIR_TYPED_PARAM_INT: return positive(param.value.i);
        case VIR_TYPED_PARAM_UINT: return param.value.ui;
        case VIR_TYPED_PARAM_LLONG: return positive(param.value.l);
        case VIR_TYPED_PARAM_ULLONG: return param.value.ul;
        default: return {};
      }
    }
    return {};
  }

  std::optional<std::uint64_t> kib(const std::string& field) const {
    const auto value = number(field);
    return value ? std::optional(*value * kKiB) : std::nullopt;
  }

  bool empty() const { return params_.empty(); }

 private:
  static std::optional<std::uint64_t> positive(std::int64_t value) {
    return value < 0 ? std::nullopt : std::optional(static_cast<std::uint64_t>(value));
  }

  std::span<const virTypedParameter> params_;
};

std::vector<VcpuSample> vcpus_from(const Stats& stats) {
  std::vector<VcpuSample> vcpus;
  const auto most = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(stats.number("vcpu.maximum").value_or(0), kMostVcpus));
  for (std::uint32_t i = 0; i < most; ++i) {
    const auto time = stats.number(fmt::format("vcpu.{}.time", i));
    if (!time) continue;  // not plugged in, or not yet known
    VcpuSample vcpu;
    vcpu.index = i;
    vcpu.online = stats.number(fmt::format("vcpu.{}.state", i)) != VIR_VCPU_OFFLINE;
    vcpu.run_ns = *time;
    vcpu.delay_ns = stats.number(fmt::format("vcpu.{}.delay", i));
    vcpus.push_back(std::move(vcpu));
  }
  return vcpus;
}

std::optional<BalloonSample> balloon_from(const Stats& stats) {
  const auto current = stats.kib("balloon.current");
  const auto maximum = stats.kib("balloon.maximum");
  if (!current || !maximum) return {};
  BalloonSample balloon;
  balloon.current_bytes = *current;
  balloon.maximum_bytes = *maximum;
  balloon.rss_bytes = stats.kib("balloon.rss");
  balloon.usable_bytes = stats.kib("balloon.usable");
  balloon.unused_bytes = stats.kib("balloon.unused");
  balloon.available_bytes = stats.kib("balloon.available");
  balloon.swap_in_bytes = stats.kib("balloon.swap_in");
  balloon.major_faults = stats.number("balloon.major_fault");
  if (const auto updated = stats.number("balloon.last-update")) {
    balloon.updated_s = static_cast<std::int64_t>(*updated);
  }
  return balloon;
}

// For drivers without bulk statistics.
std::vector<VcpuSample> vcpus_of(virDomainPtr domain) {
  const int count = virDomainGetVcpusFlags(domain, VIR_DOMAIN_AFFECT_LIVE);
  if (count <= 0) return {};
  std::vector<virVcpuInfo> infos(
      std::min<std::size_t>(static_cast<std::size_t>(count), kMostVcpus));
  const int got =
      virDomainGetVcpus(domain, infos.data(), static_cast<int>(infos.size()), nullptr, 0);
  std::vector<VcpuSample> vcpus;
  for (int i = 0; i < got; ++i) {
    VcpuSample vcpu;
    vcpu.index = infos[static_cast<std::size_t>(i)].number;
    vcpu.online = infos[static_cast<std::size_t>(i)].state != VIR_VCPU_OFFLINE;
    vcpu.run_ns = infos[static_cast<std::size_t>(i)].cpuTime;
    vcpus.push_back(std::move(vcpu));
  }
  return vcpus;
}

// By tag: the order and number of what comes differs from guest to guest.
std::optional<BalloonSample> balloon_of(virDomainPtr domain) {
  virDomainInfo info{};
  if (virDomainGetInfo(domain, &info) < 0) return {};
  std::array<virDomainMemoryStatStruct, VIR_DOMAIN_MEMORY_STAT_NR> stats{};
  const int got = virDomainMemoryStats(domain, stats.data(), stats.size(), 0);
  if (got <= 0) return {};
  BalloonSample balloon;
  balloon.current_bytes = info.memory * kKiB;
  balloon.maximum_bytes = info.maxMem * kKiB;
  for (const auto& stat : std::span(stats).first(static_cast<std::size_t>(got))) {
    const std::uint64_t bytes = stat.val * kKiB;
    switch (stat.tag) {
      case VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON: balloon.current_bytes = bytes; break;
      case VIR_DOMAIN_MEMORY_STAT_RSS: balloon.rss_bytes = bytes; break;
      case VIR_DOMAIN_MEMORY_STAT_USABLE: balloon.usable_bytes = bytes; break;
      case VIR_DOMAIN_MEMORY_STAT_UNUSED: balloon.unused_bytes = bytes; break;
      case VIR_DOMAIN_MEMORY_STAT_AVAILABLE: balloon.available_bytes = bytes; break;
      case VIR_DOMAIN_MEMORY_STAT_SWAP_IN: balloon.swap_in_bytes = bytes; break;
      case VIR_DOMAIN_MEMORY_STAT_MAJOR_FAULT: balloon.major_faults = stat.val; break;
      case VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE:
        balloon.updated_s = static_cast<std::int64_t>(stat.val);
        break;
      default: break;
    }
  }
  return balloon;
}

bool learn_masks(virDomainPtr domain, std::vector<VcpuSample>& vcpus) {
  if (vcpus.empty()) return true;
  constexpr int kMapBytes = CpuSet::kMostCpus / 8;
  const auto count = static_cast<int>(vcpus.back().index) + 1;
  std::vector<unsigned char> maps(static_cast<std::size_t>(count) * kMapBytes);
  const int got =
      virDomainGetVcpuPinInfo(domain, count, maps.data(), kMapBytes, VIR_DOMAIN_AFFECT_CURRENT);
  if (got < 0) return false;
  for (VcpuSample& vcpu : vcpus) {
    if (vcpu.index >= static_cast<std::uint32_t>(got)) continue;
    vcpu.allowed = CpuSet::from_bytes(maps.data() + std::size_t{vcpu.index} * kMapBytes, kMapBytes);
  }
  return true;
}

// Where there are control groups the bulk statistics have it; else it comes in ticks.
std::optional<std::uint64_t> process_ns(virDomainPtr domain, const Stats& stats) {
  if (const auto time = stats.number("cpu.time")) return time;
  virDomainInfo info{};
  if (virDomainGetInfo(domain, &info) < 0 || info.cpuTime == 0) return {};
  return info.cpuTime;
}

CpuSet helpers_allowed(virDomainPtr domain) {
  std::array<unsigned char, CpuSet::kMostCpus / 8> map{};
  constexpr auto kBytes = static_cast<int>(map.size());
  if (virDomainGetEmulatorPinInfo(domain, map.data(), kBytes, VIR_DOMAIN_AFFECT_CURRENT) <= 0) {
    return {};
  }
  return CpuSet::from_bytes(map.data(), kBytes);
}

std::optional<std::uint32_t> memory_node(virDomainPtr domain) {
  int count = 0;
  if (virDomainGetNumaParameters(domain, nullptr, &count, 0) < 0 || count <= 0) return {};
  std::vector<virTypedParameter> params(static_cast<std::size_t>(count));
  if (virDomainGetNumaParameters(domain, params.data(), &count, 0) < 0) return {};
  std::optional<std::uint32_t> node;
  const char* text = nullptr;
  if (virTypedParamsGetString(params.data(), count, VIR_DOMAIN_NUMA_NODESET, &text) == 1) {
    const auto set = CpuSet::parse(text);
    if (set && set->count() == 1) node = set->lowest();
  }
  virTypedParamsClear(params.data(), count);
  return node;
}

}  // namespace

class LibvirtHypervisor::Connection {
 public:
  explicit Connection(virConnectPtr connection) : connection_(connection) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { virConnectClose(connection_); }

  virConnectPtr get() const { return connection_; }
  bool alive() const { return virConnectIsAlive(connection_) == 1; }

  Domain find(const std::string& uuid) const {
    return Domain(virDomainLookupByUUIDString(connection_, uuid.c_str()));
  }

  struct Bounds {
    std::int32_t run_id = -1;
    std::optional<std::uint32_t> memory_node;
    CpuSet helpers_allowed;
    std::uint32_t looks = 0;  // since they were asked
  };
  // Not asked at every look: they change by an operator's command only.
  const Bounds& bounds_of(virDomainPtr domain, const GuestSample& guest) {
    constexpr std::uint32_t kLooks = 16;
    auto& known = bounds_[guest.uuid];
    if (known.run_id != guest.run_id || ++known.looks >= kLooks || known.helpers_allowed.empty()) {
      known = {guest.run_id, memory_node(domain), helpers_allowed(domain)};
    }
    return known;
  }

  // Of those that are gone nothing is kept.  Guests by rising uuid.
  void keep_bounds(const std::vector<GuestSample>& guests) {
    std::erase_if(bounds_, [&](const auto& known) {
      return !std::ranges::binary_search(guests, known.first, {}, &GuestSample::uuid);
    });
  }

 private:
  virConnectPtr connection_;
  std::map<std::string, Bounds> bounds_;
};

LibvirtHypervisor::LibvirtHypervisor(LibvirtOptions options) : options_(std::move(options)) {}
LibvirtHypervisor::~LibvirtHypervisor() = default;

base::Result<std::unique_ptr<LibvirtHypervisor>> LibvirtHypervisor::open(LibvirtOptions options) {
  FL_TRY_STATUS(check_local_uri(options.uri));
  // Without this libvirt prints every error itself.
  virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
  std::unique_ptr<LibvirtHypervisor> hypervisor(new LibvirtHypervisor(std::move(options)));
  FL_TRY_STATUS(hypervisor->connect());
  return hypervisor;
}

base::Status LibvirtHypervisor::connect() {
  connection_.reset();
  virConnectPtr connection = nullptr;
  if (options_.access != Access::kRead) connection = virConnectOpen(options_.uri.c_str());
  if (connection == nullptr && options_.access != Access::kWrite) {
    connection = virConnectOpenReadOnly(options_.uri.c_str());
  }
  if (connection == nullptr) {
    return base::fail(base::Error(ErrorKind::kClosed, fmt::format("connect to libvirt at {}: {}",
                                                                  options_.uri, last_words()))
                          .advise("is libvirtd running, and is the URI right?"));
  }
  connection_ = std::make_unique<Connection>(connection);
  return {};
}

namespace {

// What a failed call means; a dead connection explains all else.  libvirt forgets its last error
// at the next call, so it is read before the connection is asked.
template <typename Connection>
base::Error failure(const Connection& connection, std::string_view what) {
  const ErrorKind kind = kind_of(virGetLastError());
  std::string words = fmt::format("{}: {}", what, last_words());
  return {connection.alive() ? kind : ErrorKind::kClosed, std::move(words)};
}

struct Records {
  virDomainStatsRecordPtr* list = nullptr;
  int count = 0;
  ~Records() {
    if (list != nullptr) virDomainStatsRecordListFree(list);
  }
};

GuestSample identity(virDomainPtr domain) {
  GuestSample guest;
  std::array<char, VIR_UUID_STRING_BUFLEN> uuid{};
  if (virDomainGetUUIDString(domain, uuid.data()) == 0) guest.uuid = uuid.data();
  const char* name = virDomainGetName(domain);
  guest.name = name == nullptr ? guest.uuid : name;
  guest.run_id = static_cast<std::int32_t>(virDomainGetID(domain));
  return guest;
}

// Whether all of it was asked: of a guest whose monitor another client keeps busy libvirt tells, as
// we do not wait for it, only what it knows itself.
bool is_whole(const BalloonSample& balloon) { return balloon.rss_bytes.has_value(); }

// Asks again for what was busy, for a tenth of a second at most: two clients that ask at the same
// moment of each second would else get in each other's way each time.
void ask_busy_again(const Records& records, std::vector<GuestSample>& guests) {
  using std::chrono::milliseconds;
  for (auto pause = milliseconds(3); pause < milliseconds(100); pause *= 2) {
    std::vector<virDomainPtr> busy;
    for (int i = 0; i < records.count; ++i) {
      const std::string uuid = identity(records.list[i]->dom).uuid;
      const auto guest = std::ranges::find(guests, uuid, &GuestSample::uuid);
      if (guest == guests.end() || !guest->memory || is_whole(*guest->memory)) continue;
      busy.push_back(records.list[i]->dom);
    }
    if (busy.empty()) return;
    busy.push_back(nullptr);
    std::this_thread::sleep_for(pause);
    Records again;
    again.count = virDomainListGetStats(busy.data(), VIR_DOMAIN_STATS_BALLOON, &again.list,
                                        VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
    for (int i = 0; i < again.count; ++i) {
      const std::string uuid = identity(again.list[i]->dom).uuid;
      const auto balloon = balloon_from(Stats(*again.list[i]));
      if (balloon) std::ranges::find(guests, uuid, &GuestSample::uuid)->memory = balloon;
    }
  }
}

manage::GuestState state_of(std::uint64_t state) {
  switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED: return manage::GuestState::kRunning;
    case VIR_DOMAIN_PAUSED:
    case VIR_DOMAIN_PMSUSPENDED: return manage::GuestState::kPaused;
    default: return manage::GuestState::kOther;
  }
}

}  // namespace

base::Result<manage::Sample> LibvirtHypervisor::sample() {
  if (connection_ == nullptr || !connection_->alive()) FL_TRY_STATUS(connect());
  manage::Sample sample;
  FL_TRY(sample.pcpus, host_.processors());
  FL_TRY(sample.memory, host_.memory());
  unsigned wanted = VIR_DOMAIN_STATS_STATE;
  if (options_.processors) wanted |= VIR_DOMAIN_STATS_VCPU | VIR_DOMAIN_STATS_CPU_TOTAL;
  if (options_.memory) wanted |= VIR_DOMAIN_STATS_BALLOON;
  Records records;
  sample.at_ns = clock_.now_ns();
  sample.wall_s = ::time(nullptr);
  records.count = virConnectGetAllDomainStats(connection_->get(), wanted, &records.list,
                                              VIR_CONNECT_GET_ALL_DOMAINS_STATS_RUNNING |
                                                  VIR_CONNECT_GET_ALL_DOMAINS_STATS_PAUSED |
                                                  VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT);
  if (records.count < 0) {
    return base::fail(failure(*connection_, "read the guests' statistics"));
  }
  for (int i = 0; i < records.count; ++i) {
    const virDomainStatsRecord& record = *records.list[i];
    const Stats stats(record);
    GuestSample guest = identity(record.dom);
    if (guest.run_id < 0) continue;  // it ended meanwhile
    guest.state = state_of(stats.number("state.state").value_or(VIR_DOMAIN_RUNNING));
    if (options_.processors) {
      guest.vcpus = vcpus_from(stats);
      if (guest.vcpus.empty() && !stats.number("vcpu.maximum")) guest.vcpus = vcpus_of(record.dom);
      if (!learn_masks(record.dom, guest.vcpus)) continue;
      guest.process_ns = process_ns(record.dom, stats);
      const auto& bounds = connection_->bounds_of(record.dom, guest);
      guest.memory_node = bounds.memory_node;
      guest.helpers_allowed = bounds.helpers_allowed;
    }
    if (options_.memory) {
      guest.memory = balloon_from(stats);
      if (!guest.memory) guest.memory = balloon_of(record.dom);
    }
    sample.guests.push_back(std::move(guest));
  }
  if (options_.memory) ask_busy_again(records, sample.guests);
  std::ranges::sort(sample.guests, {}, &GuestSample::uuid);
  if (options_.processors) connection_->keep_bounds(sample.guests);
  return sample;
}

base::Status LibvirtHypervisor::pin(const std::string& uuid, std::uint32_t vcpu,
                                    const CpuSet& allowed) {
  if (connection_ == nullptr) FL_TRY_STATUS(connect());
  const Domain domain = connection_->find(uuid);
  if (!domain) return base::fail(failure(*connection_, "find guest " + uuid));
  auto map = allowed.to_bytes(CpuSet::kMostCpus);
  map.resize(allowed.empty() ? 1 : allowed.members().back() / 8 + 1);
  const auto length = static_cast<int>(map.size());
  int done = virDomainPinVcpuFlags(domain.get(), vcpu, map.data(), length, VIR_DOMAIN_AFFECT_LIVE);
  if (done < 0 && refuses_live()) done = virDomainPinVcpu(domain.get(), vcpu, map.data(), length);
  if (done < 0) {
    return base::fail(failure(*connection_, fmt::format("pin vCPU {} of {}", vcpu, uuid)));
  }
  return {};
}

base::Status LibvirtHypervisor::set_memory(const std::string& uuid, std::uint64_t bytes) {
  if (connection_ == nullptr) FL_TRY_STATUS(connect());
  const Domain domain = connection_->find(uuid);
  if (!domain) return base::fail(failure(*connection_, "find guest " + uuid));
  if (virDomainSetMemoryFlags(domain.get(), bytes / kKiB, VIR_DOMAIN_AFFECT_LIVE) < 0) {
    return base::fail(failure(*connection_, "set the memory of " + uuid));
  }
  return {};
}

base::Status LibvirtHypervisor::set_stats_period(const std::string& uuid, std::uint32_t seconds) {
  if (connection_ == nullptr) FL_TRY_STATUS(connect());
  const Domain domain = connection_->find(uuid);
  if (!domain) return base::fail(failure(*connection_, "find guest " + uuid));
  if (virDomainSetMemoryStatsPeriod(domain.get(), static_cast<int>(seconds),
                                    VIR_DOMAIN_AFFECT_LIVE) < 0) {
    return base::fail(failure(*connection_, "set the statistics period of " + uuid));
  }
  return {};
}

}  // namespace fairlead::virt
