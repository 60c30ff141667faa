// SPDX-License-Identifier: Apache-2.0
#include "trace/kernel_source.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>

#include "base/file.h"
#include "relay/stamp.h"
#include "trace/event_format.h"

namespace fairlead::trace {

using base::ErrorKind;

namespace {

constexpr int kMinorBits = 20;
constexpr std::uint32_t kMinorMask = (std::uint32_t{1} << kMinorBits) - 1;
constexpr std::size_t kMostDevices = 1024;
constexpr std::size_t kMostTextBytes = 4096;

// Without these there is no stage to be measured; of the others a kernel may have some or none.
constexpr bool needed(abi::BlockAct act) {
  return act == abi::BlockAct::kQueue || act == abi::BlockAct::kIssue ||
         act == abi::BlockAct::kComplete;
}

std::string folder_of(const BlockTracepoint& event) {
  return std::string("events/block/") + event.name;
}

std::string folder_of(std::uint16_t cpu) { return "per_cpu/cpu" + std::to_string(cpu); }

// The processors that have a buffer, in order.
base::Result<std::vector<std::uint16_t>> processors_in(const std::string& folder) {
  DIR* const all = ::opendir(folder.c_str());
  if (all == nullptr) return base::fail_errno(errno, "open " + folder);
  std::vector<std::uint16_t> cpus;
  while (const dirent* const entry = ::readdir(all)) {
    const std::string_view name = entry->d_name;
    if (!name.starts_with("cpu")) continue;
    std::uint16_t cpu = 0;
    const auto [end, error] = std::from_chars(name.data() + 3, name.data() + name.size(), cpu);
    if (error == std::errc() && end == name.data() + name.size()) cpus.push_back(cpu);
  }
  ::closedir(all);
  std::ranges::sort(cpus);
  return cpus;
}

// "loop0", from the uevent of /sys/dev/block/7:0; empty if it has gone.
std::string name_of(std::uint32_t device, const std::string& sysfs) {
  constexpr std::string_view kKey = "DEVNAME=";
  const auto text = base::read_file(sysfs + "/dev/block/" + std::to_string(device >> kMinorBits) +
                                        ":" + std::to_string(device & kMinorMask) + "/uevent",
                                    kMostTextBytes);
  if (!text) return {};
  const std::size_t at = text->find(kKey);
  if (at == std::string::npos) return {};
  const std::size_t start = at + kKey.size();
  return text->substr(start, text->find('\n', start) - start);
}

// Passes on, and says of each device once what it is called.
class NamingSink final : public EventSink {
 public:
  NamingSink(EventSink& to, std::vector<std::uint32_t>& known, const std::string& sysfs)
      : to_(to), known_(known), sysfs_(sysfs) {}

  void event(std::uint16_t stream, std::uint64_t stamp, const abi::BlockEvent& event) override {
    if (event.device != last_) meet(event.device);
    to_.event(stream, stamp, event);
  }
  void loss(std::uint16_t stream, const abi::TraceLoss& loss) override { to_.loss(stream, loss); }
  void name(const abi::TraceName& name) override { to_.name(name); }
  void device(const abi::TraceDevice& device) override { to_.device(device); }

 private:
  void meet(std::uint32_t device) {
    last_ = device;
    if (known_.size() == kMostDevices || std::ranges::find(known_, device) != known_.end()) return;
    known_.push_back(device);
    abi::TraceDevice told{};
    told.device = device;
    const std::string name = name_of(device, sysfs_);
    std::copy_n(name.data(), std::min(name.size(), sizeof told.name), told.name);
    if (!name.empty()) to_.device(told);
  }

  EventSink& to_;
  std::vector<std::uint32_t>& known_;
  const std::string& sysfs_;
  std::uint32_t last_ = 0;  // no device has this number
};

}  // namespace

base::Result<std::uint32_t> device_number(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return base::fail_errno(errno, "look at " + path);
  if (!S_ISBLK(status.st_mode)) {
    return base::fail(ErrorKind::kInvalid, path + " is no block device");
  }
  return std::uint32_t{major(status.st_rdev)} << kMinorBits | minor(status.st_rdev);
}

std::string filter_of(const std::vector<std::uint32_t>& devices, bool also_old) {
  std::string text;
  const auto add = [&text](const char* field, std::uint32_t device) {
    if (!text.empty()) text += " || ";
    text.append(field).append(" == ").append(std::to_string(device));
  };
  for (const std::uint32_t device : devices) {
    add("dev", device);
    if (also_old) add("old_dev", device);
  }
  return text.empty() ? "0" : text;
}

KernelSource::KernelSource(TraceInstance instance, const KernelOptions& options)
    : instance_(std::move(instance)),
      sysfs_(options.sysfs),
      decoder_(std::make_unique<BlockDecoder>()) {}

base::Result<KernelSource> KernelSource::open(const KernelOptions& options) {
  if (options.devices.size() > kMostFilteredDevices) {
    return base::fail(ErrorKind::kLimit, "at most " + std::to_string(kMostFilteredDevices) +
                                             " devices can be traced by name");
  }
  const auto header = base::read_file(options.tracefs + "/events/header_page", kMostTextBytes);
  if (!header && header.error().kind() == ErrorKind::kNotFound) {
    return base::fail(
        base::Error(header.error()).advise("mount -t tracefs none " + options.tracefs));
  }
  if (!header && header.error().kind() == ErrorKind::kDenied) {
    return base::fail(base::Error(header.error()).advise("tracing the kernel needs root"));
  }
  if (!header) return base::fail(header.error());
  FL_TRY(const PageShape shape, parse_page_shape(*header));
  FL_TRY(TraceInstance instance, TraceInstance::create(options.tracefs));
  KernelSource source(std::move(instance), options);
  source.shape_ = shape;
  source.page_.resize(source.shape_.bytes());
  source.most_pages_ = std::uint64_t{options.buffer_kib} * 1024 / source.shape_.bytes() + 2;
  FL_TRY_STATUS(source.set_up(options));
  return source;
}

base::Status KernelSource::set_up(const KernelOptions& options) {
  FL_TRY_STATUS(instance_.write("tracing_on", "0"));
  FL_TRY_STATUS(instance_.write("buffer_size_kb", std::to_string(options.buffer_kib)));
  FL_TRY_STATUS(set_clock());
  FL_TRY_STATUS(add_events(options));
  FL_TRY_STATUS(open_processors());
  return instance_.write("tracing_on", "1");  // all at once
}

base::Status KernelSource::set_clock() {
#if defined(__x86_64__)
  if (instance_.write("trace_clock", "x86-tsc")) return {};
#endif
  clock_ = abi::RelayClock::kMonotonicRaw;
  return instance_.write("trace_clock", "mono_raw");
}

base::Status KernelSource::add_events(const KernelOptions& options) {
  for (const BlockTracepoint& event : kBlockTracepoints) {
    const std::string folder = folder_of(event);
    const auto text = instance_.read(folder + "/format");
    if (!text) {
      if (text.error().kind() == ErrorKind::kNotFound && !needed(event.act)) continue;
      return base::fail(text.error());
    }
    FL_TRY(const EventFormat format, EventFormat::parse(*text));
    FL_TRY_STATUS(decoder_->add(format));
    if (!options.devices.empty()) {
      const bool remap = event.act == abi::BlockAct::kRemap;
      FL_TRY_STATUS(instance_.write(folder + "/filter", filter_of(options.devices, remap)));
    }
    FL_TRY_STATUS(instance_.write(folder + "/enable", "1"));
  }
  return {};
}

base::Status KernelSource::open_processors() {
  FL_TRY(const auto cpus, processors_in(instance_.path() + "/per_cpu"));
  for (const std::uint16_t cpu : cpus) {
    const std::string path = instance_.path() + "/" + folder_of(cpu) + "/trace_pipe_raw";
    base::Fd raw(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    if (!raw) return base::fail_errno(errno, "open " + path);
    processors_.push_back({std::move(raw), CpuStream(cpu, *decoder_)});
  }
  return {};
}

base::Result<std::uint64_t> KernelSource::lost_of(const Processor& one) const {
  const std::string file = folder_of(one.stream.cpu()) + "/stats";
  FL_TRY(const std::string text, instance_.read(file));
  const auto lost = parse_lost(text);
  if (!lost) return base::fail(ErrorKind::kUnsupported, file + " does not say what is lost");
  return *lost;
}

// False: there is nothing now.
base::Result<bool> KernelSource::read_page(Processor& one, EventSink& sink) {
  const ssize_t got = ::read(one.raw.get(), page_.data(), page_.size());
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got < 0) {
    return base::fail_errno(errno,
                            "read the buffer of processor " + std::to_string(one.stream.cpu()));
  }
  if (got == 0) return false;
  const RingPage page({page_.data(), static_cast<std::size_t>(got)}, shape_);
  std::optional<std::uint64_t> lost;
  if (page.misses_events() && !page.missing()) {
    FL_TRY(lost, lost_of(one));
  }
  NamingSink naming(sink, devices_, sysfs_);
  one.stream.take(page, lost, names_, naming);
  return true;
}

base::Result<std::uint64_t> KernelSource::drain(EventSink& sink) {
  const std::uint64_t before = events();
  for (Processor& one : processors_) {
    for (std::uint64_t pages = 0; pages < most_pages_; ++pages) {
      FL_TRY(const bool more, read_page(one, sink));
      if (!more) break;
    }
  }
  return events() - before;
}

base::Status KernelSource::close(EventSink& sink) {
  FL_TRY_STATUS(instance_.write("tracing_on", "0"));
  const std::uint64_t now =
      clock_ == abi::RelayClock::kTsc ? relay::stamp() : relay::monotonic_raw_ns();
  for (Processor& one : processors_) {
    for (bool more = true; more;) {
      FL_TRY(more, read_page(one, sink));
    }
    FL_TRY(const std::uint64_t lost, lost_of(one));
    one.stream.end(lost, now, sink);
    one.raw.reset();
  }
  return instance_.remove();
}

std::uint64_t KernelSource::events() const noexcept {
  std::uint64_t sum = 0;
  for (const Processor& one : processors_) sum += one.stream.events();
  return sum;
}

std::uint64_t KernelSource::lost() const noexcept {
  std::uint64_t sum = 0;
  for (const Processor& one : processors_) sum += one.stream.lost();
  return sum;
}

std::uint64_t KernelSource::unreadable() const noexcept {
  std::uint64_t sum = 0;
  for (const Processor& one : processors_) sum += one.stream.unreadable();
  return sum;
}

}  // namespace fairlead::trace
