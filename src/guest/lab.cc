// SPDX-License-Identifier: Apache-2.0
#include "guest/lab.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <thread>

#include <fmt/format.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "base/clock.h"
#include "base/file.h"
#include "guest/agent_client.h"
#include "guest/lab_names.h"
#include "guest/libvirtd.h"
#include "guest/package.h"
#include "manage/cpu_set.h"

namespace fairlead::guest {
namespace {

using base::ErrorKind;

constexpr std::int64_t kAskNs = 2 * base::kNanosPerSecond;
constexpr std::size_t kMostConsoleBytes = 16 << 20;
constexpr std::uint64_t kBalloonSlackKib = 1024;
constexpr int kLookAgainMs = 20;

struct DomainFree {
  void operator()(virDomainPtr domain) const { virDomainFree(domain); }
};
using Domain = std::unique_ptr<virDomain, DomainFree>;

base::Error libvirt_error(const std::string& what) {
  const virError* const why = virGetLastError();
  const bool gone = why != nullptr && why->code == VIR_ERR_NO_DOMAIN;
  return {gone ? ErrorKind::kNotFound : ErrorKind::kIo,
          fmt::format("{}: {}", what,
                      why == nullptr || why->message == nullptr ? "no reason" : why->message)};
}

std::string take(char* text) {
  std::string out = text == nullptr ? "" : text;
  std::free(text);
  return out;
}

std::optional<LabMark> mark_of(virDomainPtr domain) {
  return parse_mark(take(virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_ELEMENT, kLabNamespace,
                                              VIR_DOMAIN_AFFECT_LIVE)));
}

std::string_view name_of_state(unsigned char state) {
  switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED: return "running";
    case VIR_DOMAIN_PAUSED:
    case VIR_DOMAIN_PMSUSPENDED: return "paused";
    case VIR_DOMAIN_CRASHED: return "crashed";
    default: return "ending";
  }
}

std::string pins_of(virDomainPtr domain, int vcpus) {
  constexpr int kMapBytes = manage::CpuSet::kMostCpus / 8;
  std::vector<unsigned char> maps(static_cast<std::size_t>(vcpus) * kMapBytes);
  const int got =
      virDomainGetVcpuPinInfo(domain, vcpus, maps.data(), kMapBytes, VIR_DOMAIN_AFFECT_LIVE);
  std::string out;
  for (int vcpu = 0; vcpu < got; ++vcpu) {
    if (vcpu > 0) out += ' ';
    out +=
        manage::CpuSet::from_bytes(maps.data() + std::size_t{kMapBytes} * vcpu, kMapBytes).text();
  }
  return out;
}

// What libvirt says; nullopt if it is not ours or has just gone.
std::optional<LabGuest> describe(virDomainPtr domain) {
  auto mark = mark_of(domain);
  virDomainInfo info;
  char uuid[VIR_UUID_STRING_BUFLEN];
  if (!mark || virDomainGetInfo(domain, &info) != 0) return std::nullopt;
  if (virDomainGetUUIDString(domain, uuid) != 0) return std::nullopt;
  LabGuest guest;
  guest.name = virDomainGetName(domain);
  guest.uuid = uuid;
  guest.state = name_of_state(info.state);
  guest.vcpus = info.nrVirtCpu;
  guest.memory_kib = info.memory;
  guest.max_kib = info.maxMem;
  guest.pins = pins_of(domain, info.nrVirtCpu);
  guest.mark = *std::move(mark);
  guest.accel = take(virDomainGetXMLDesc(domain, 0)).starts_with("<domain type='kvm'")
                    ? Accel::kKvm
                    : Accel::kTcg;
  return guest;
}

// One thread for each guest.
template <typename Work>
void for_each_at_once(std::vector<LabGuest>& guests, Work work) {
  std::vector<std::jthread> threads;
  threads.reserve(guests.size());
  for (LabGuest& guest : guests) threads.emplace_back([&guest, work] { work(guest); });
}

base::Result<Report> report_of(const LabGuest& guest, std::int64_t timeout_ns, int stop_fd = -1) {
  FL_TRY(auto agent, AgentClient::connect(guest.mark.agent_socket));
  return agent.report(timeout_ns, stop_fd);
}

bool stopped_within(int stop_fd, int limit_ms) {
  pollfd one{.fd = stop_fd, .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, limit_ms) > 0;
}

// The balloon takes what the guest has beyond its first size only once its driver is there.
base::Status await_balloon(virConnectPtr connection, const LabGuest& guest, std::uint64_t want_kib,
                           std::int64_t end_ns, int stop_fd) {
  const Domain domain(virDomainLookupByUUIDString(connection, guest.uuid.c_str()));
  virDomainInfo info{};
  while (domain && virDomainGetInfo(domain.get(), &info) == 0) {
    if (info.memory <= want_kib + kBalloonSlackKib) return {};
    if (base::monotonic_ns() > end_ns) {
      return base::fail(ErrorKind::kTimeout, guest.name + ": its balloon does not fill");
    }
    if (stopped_within(stop_fd, kLookAgainMs)) {
      return base::fail(ErrorKind::kClosed, "nobody waits any more");
    }
  }
  return base::fail(libvirt_error("await " + guest.name));
}

void remove_files(const LabMark& mark) {
  ::unlink(mark.agent_socket.c_str());
  ::unlink(mark.console_log.c_str());
  if (!mark.trace_socket.empty()) ::unlink(mark.trace_socket.c_str());
  if (!mark.command_socket.empty()) ::unlink(mark.command_socket.c_str());
  if (!mark.relay.empty()) ::unlink(mark.relay.c_str());
}

bool is_block_device(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && S_ISBLK(status.st_mode);
}

// What somebody else has put there in our name is not to become a guest's memory.
base::Status check_free(const std::string& file) {
  struct stat status{};
  if (file.empty() || ::lstat(file.c_str(), &status) != 0) return {};
  return base::fail(base::Error(ErrorKind::kExists, file + " is there and is not ours to remove")
                        .advise("whoever made it has to remove it"));
}

// Ends a domain and removes its files, if it is ours and its name fits.
base::Result<bool> end_ours(virDomainPtr domain, const std::string& prefix) {
  const std::string name = virDomainGetName(domain);
  const auto mark = mark_of(domain);
  if (!mark || !name.starts_with(prefix)) return false;
  if (virDomainDestroy(domain) != 0) {
    auto error = libvirt_error("end " + name);
    if (error.kind() != ErrorKind::kNotFound) return base::fail(std::move(error));
  }
  remove_files(*mark);
  return true;
}

struct Ended {
  std::uint32_t guests = 0;
  std::optional<base::Error> first;
};

// All at once: libvirt takes nearly two seconds to end one.
Ended end_all(const std::vector<Domain>& domains, const std::string& prefix) {
  Ended ended;
  std::mutex mutex;
  std::vector<std::jthread> threads;
  threads.reserve(domains.size());
  for (const Domain& domain : domains) {
    threads.emplace_back([&, one = domain.get()] {
      const auto done = end_ours(one, prefix);
      const std::scoped_lock lock(mutex);
      if (done) ended.guests += *done ? 1 : 0;
      if (!done && !ended.first) ended.first = done.error();
    });
  }
  threads.clear();
  return ended;
}

}  // namespace

struct Lab::State {
  LabOptions options;
  virConnectPtr connection = nullptr;

  ~State() {
    if (connection != nullptr) virConnectClose(connection);
  }
  std::string path(const std::string& guest, const char* kind) const {
    return fmt::format("{}/{}.{}", options.folder, guest, kind);
  }
  base::Result<std::vector<Domain>> domains() const;
  base::Result<Domain> start(const UpOptions& up, const Image& image, std::uint32_t index) const;
  base::Status await(const std::vector<Domain>& started, const UpOptions& up,
                     const OnStep& on_step) const;
};

Lab::Lab(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Lab::Lab(Lab&&) noexcept = default;
Lab::~Lab() = default;

base::Result<Lab> Lab::open(LabOptions options) {
  FL_TRY_STATUS(libvirt_answers(options.uri));
  auto state = std::make_unique<State>();
  state->options = std::move(options);
  state->connection = virConnectOpen(state->options.uri.c_str());
  if (state->connection == nullptr) {
    return base::fail(libvirt_error("connect to " + state->options.uri));
  }
  return Lab(std::move(state));
}

base::Result<std::vector<Domain>> Lab::State::domains() const {
  virDomainPtr* list = nullptr;
  const int count = virConnectListAllDomains(connection, &list, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
  if (count < 0) return base::fail(libvirt_error("list the domains"));
  std::vector<Domain> domains;
  domains.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) domains.emplace_back(list[i]);
  std::free(static_cast<void*>(list));
  return domains;
}

base::Result<Domain> Lab::State::start(const UpOptions& up, const Image& image,
                                       std::uint32_t index) const {
  DomainSpec spec;
  spec.name = up.prefix + std::to_string(index + 1);
  spec.accel = up.accel;
  spec.vcpus = up.vcpus;
  spec.memory_mib = up.memory_mib;
  spec.max_mib = up.max_mib;
  spec.pin = pin_of(up.pins, index);
  spec.kernel = image.kernel;
  spec.initramfs = image.initramfs;
  spec.disk = up.disk;
  spec.disk_is_device = is_block_device(up.disk);
  if (up.relay_bytes != 0) spec.relay = relay_name(options.folder, spec.name);
  spec.relay_bytes = up.relay_bytes;
  spec.agent_socket = path(spec.name, "agent");
  spec.command_socket = path(spec.name, "run");
  spec.trace_socket = path(spec.name, "port");
  spec.console_log = path(spec.name, "console");
  spec.user = ::geteuid();
  spec.group = ::getegid();
  spec.privileged = !options.uri.contains("/session");
  const Domain there(virDomainLookupByName(connection, spec.name.c_str()));
  if (there) {
    return base::fail(base::Error(ErrorKind::kExists, "there is a domain " + spec.name)
                          .advise("end the lab: fairlead lab down; or take another --name"));
  }
  const LabMark mark{spec.agent_socket, spec.console_log, relay_file(spec.relay), spec.trace_socket,
                     spec.command_socket};
  remove_files(mark);
  FL_TRY_STATUS(check_free(mark.relay));
  Domain domain(virDomainCreateXML(connection, domain_xml(spec).c_str(), 0));
  if (!domain) return base::fail(libvirt_error("start " + spec.name));
  // QEMU, which is this user's, makes it readable by all: what a guest does is nobody else's.
  if (!mark.relay.empty()) (void)::chmod(mark.relay.c_str(), S_IRUSR | S_IWUSR);
  return domain;
}

base::Status Lab::State::await(const std::vector<Domain>& started, const UpOptions& up,
                               const OnStep& on_step) const {
  on_step("waiting for the agents");
  std::vector<LabGuest> guests;
  for (const Domain& domain : started) {
    if (auto guest = describe(domain.get())) guests.push_back(*std::move(guest));
  }
  std::mutex mutex;
  std::optional<base::Error> first;
  for_each_at_once(guests, [&](const LabGuest& guest) {
    auto report = report_of(guest, up.timeout_ns, up.stop_fd);
    if (report) return;
    const std::string context = fmt::format("{} does not boot (its console: {})", guest.name,
                                            last_console_line(guest.mark.console_log));
    const std::scoped_lock lock(mutex);
    if (!first) first = std::move(report).error().at(context);
  });
  if (first) return base::fail(*std::move(first));
  on_step("waiting for the balloons");
  const std::int64_t end_ns = base::monotonic_ns() + up.timeout_ns;
  for (const LabGuest& guest : guests) {
    FL_TRY_STATUS(await_balloon(connection, guest, up.memory_mib * 1024, end_ns, up.stop_fd));
  }
  return {};
}

base::Status Lab::up(const UpOptions& options, const Image& image, const OnStep& on_step) {
  FL_TRY_STATUS(make_folders(state_->options.folder));
  std::vector<Domain> started;
  base::Status status;
  while (status && started.size() < options.count && !stopped_within(options.stop_fd, 0)) {
    const auto index = static_cast<std::uint32_t>(started.size());
    on_step(fmt::format("starting {}{}", options.prefix, index + 1));
    auto domain = state_->start(options, image, index);
    if (domain) {
      started.push_back(*std::move(domain));
    } else {
      status = base::fail(std::move(domain).error());
    }
  }
  if (status && started.size() == options.count) status = state_->await(started, options, on_step);
  if (!stopped_within(options.stop_fd, 0)) return status;
  Ended ended = end_all(started, options.prefix);
  if (ended.first) return base::fail(*std::move(ended.first));
  return base::fail(ErrorKind::kClosed,
                    fmt::format("the {} guests that were started are ended", ended.guests));
}

base::Result<std::vector<LabGuest>> Lab::list(const std::string& which, const std::string& prefix,
                                              bool ask_agents) {
  FL_TRY(const auto domains, state_->domains());
  std::vector<LabGuest> guests;
  for (const Domain& domain : domains) {
    const std::string name = virDomainGetName(domain.get());
    if (which == "all" ? !name.starts_with(prefix) : name != which) continue;
    if (auto guest = describe(domain.get())) guests.push_back(*std::move(guest));
  }
  std::ranges::sort(guests, [](const LabGuest& a, const LabGuest& b) {
    return std::pair(a.name.size(), a.name) < std::pair(b.name.size(), b.name);
  });
  if (ask_agents) {
    for_each_at_once(guests, [](LabGuest& guest) {
      if (auto report = report_of(guest, kAskNs)) guest.report = *report;
    });
  }
  return guests;
}

base::Result<std::uint32_t> Lab::down(const std::string& prefix) {
  FL_TRY(const auto domains, state_->domains());
  Ended ended = end_all(domains, prefix);
  if (ended.first) return base::fail(*std::move(ended.first));
  // What a killed `up` left before its domain was made.
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(state_->options.folder, none)) {
    constexpr std::string_view kOurs[] = {".agent", ".console", ".port", ".run", ".lock"};
    if (std::ranges::find(kOurs, entry.path().extension().string()) == std::end(kOurs)) continue;
    const std::string guest = entry.path().stem().string();
    if (!guest.starts_with(prefix)) continue;
    const Domain alive(virDomainLookupByName(state_->connection, guest.c_str()));
    if (alive) continue;
    ::unlink(entry.path().c_str());
    ::unlink(relay_file(relay_name(state_->options.folder, guest)).c_str());
  }
  return ended.guests;
}

base::Status tell(const std::vector<LabGuest>& guests, const std::string& words,
                  std::int64_t timeout_ns) {
  std::vector<LabGuest> copies = guests;
  std::mutex mutex;
  std::optional<base::Error> first;
  for_each_at_once(copies, [&](const LabGuest& guest) {
    auto agent = AgentClient::connect(guest.mark.agent_socket);
    auto answer = agent ? agent->ask(words, timeout_ns) : base::fail(std::move(agent).error());
    if (answer) return;
    const std::scoped_lock lock(mutex);
    if (!first) first = std::move(answer).error().at(guest.name);
  });
  if (first) return base::fail(*std::move(first));
  return {};
}

std::string last_console_line(const std::string& path) {
  const auto text = base::read_file(path, kMostConsoleBytes);
  if (!text) return "empty";
  std::string_view rest = *text;
  while (!rest.empty()) {
    while (rest.ends_with('\n') || rest.ends_with('\r')) rest.remove_suffix(1);
    const std::size_t start = rest.rfind('\n');
    const std::string_view line = rest.substr(start == std::string_view::npos ? 0 : start + 1);
    if (!line.empty()) return std::string(line.substr(0, 200));
    rest.remove_suffix(line.size());
  }
  return "empty";
}

}  // namespace fairlead::guest
