// SPDX-License-Identifier: Apache-2.0
#include "apps/study_schedulers.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "apps/guest_image.h"
#include "apps/loop_device.h"
#include "base/file.h"
#include "base/quote.h"
#include "base/random.h"
#include "base/text_table.h"
#include "base/units.h"
#include "daemon/runtime_dir.h"
#include "guest/agent_client.h"
#include "guest/guest_trace.h"
#include "guest/lab.h"
#include "guest/libvirtd.h"
#include "guest/package.h"
#include "guest/subprocess.h"
#include "trace/host_source.h"
#include "trace/kernel_source.h"
#include "trace/recorder.h"
#include "trace/report.h"
#include "trace/trace_file.h"

namespace fairlead::apps {
namespace {

using base::ErrorKind;

constexpr const char* kUri = "qemu:///system";
constexpr const char* kPrefix = "reproduce_";
constexpr const char* kGuest = "reproduce_1";
constexpr std::uint64_t kFileBytes = 100'000'000;
constexpr const char* kDiskSize = "128M";
constexpr const char* kNone = "none";
constexpr std::int64_t kBootNs = 120 * base::kNanosPerSecond;
// Whatever a guest says: enough for the schedulers' names, and dd's lines.
constexpr std::size_t kMostSaid = 64 << 10;
// What comes last is in the trace before it is ended.
constexpr std::int64_t kTailNs = 50 * base::kNanosPerMilli;

bool asked(int stop_fd) {
  pollfd one{.fd = stop_fd, .events = POLLIN, .revents = 0};
  return ::poll(&one, 1, 0) > 0;
}

// "none [mq-deadline] kyber": the names.
std::vector<std::string> names_in(std::string_view line) {
  std::vector<std::string> names(1);
  for (const char c : line) {
    if (c == ' ' || c == '\n') {
      if (!names.back().empty()) names.emplace_back();
    } else if (c != '[' && c != ']') {
      names.back() += c;
    }
  }
  if (names.back().empty()) names.pop_back();
  return names;
}

// ---- what is made, and taken away ----

// A file of random bytes in an ext4 file system in a file.
class DiskImage {
 public:
  static base::Result<DiskImage> make(const std::string& folder) {
    DiskImage disk(folder + "/disk.img");
    FL_TRY(const auto scratch, guest::ScratchFolder::make(folder));
    base::Random random(3);
    std::string content(kFileBytes, '\0');
    for (std::size_t at = 0; at + 8 <= content.size(); at += 8) {
      const std::uint64_t word = random.next();
      content.replace(at, 8, reinterpret_cast<const char*>(&word), 8);
    }
    FL_TRY_STATUS(base::write_file_atomic(scratch.path() + "/file", content));
    auto made = guest::run_tool({"mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-d",
                                 scratch.path(), disk.path_, kDiskSize});
    if (made) return disk;
    const bool missing = made.error().kind() == ErrorKind::kNotFound;
    auto error = std::move(made).error().at("make the guest's disk");
    return base::fail(missing ? std::move(error).advise("apt-get install e2fsprogs")
                              : std::move(error));
  }
  DiskImage(DiskImage&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  DiskImage& operator=(DiskImage&&) = delete;
  ~DiskImage() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  const std::string& path() const noexcept { return path_; }

 private:
  explicit DiskImage(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// The host's libvirt daemon; where none answers, one of our own until the end.
class LibvirtHere {
 public:
  static base::Result<LibvirtHere> find(const std::string& runtime) {
    if (guest::libvirt_answers(kUri)) return LibvirtHere(kUri, std::nullopt);
    guest::Libvirtd own(runtime + "/reproduce-libvirtd", guest::Libvirtd::Place::kPrivate);
    if (!own.running()) FL_TRY_STATUS(own.start());
    std::string uri = own.uri();
    return LibvirtHere(std::move(uri), std::move(own));
  }
  LibvirtHere(LibvirtHere&& other) noexcept
      : uri_(std::move(other.uri_)), own_(std::exchange(other.own_, std::nullopt)) {}
  LibvirtHere& operator=(LibvirtHere&&) = delete;
  ~LibvirtHere() {
    if (own_) (void)own_->stop();
  }
  const std::string& uri() const noexcept { return uri_; }

 private:
  LibvirtHere(std::string uri, std::optional<guest::Libvirtd> own)
      : uri_(std::move(uri)), own_(std::move(own)) {}
  std::string uri_;
  std::optional<guest::Libvirtd> own_;
};

// The guest, and a shell in it.
class StudyGuest {
 public:
  static base::Result<StudyGuest> boot(const SchedulerPlan& plan, const std::string& uri,
                                       const std::string& lab_folder, const std::string& disk) {
    FL_TRY(const GuestImage made, guest_image("", "auto", plan.on_step));
    FL_TRY(auto lab, guest::Lab::open({.uri = uri, .folder = lab_folder}));
    FL_TRY_STATUS(lab.down(kPrefix));  // of a run that was killed
    guest::UpOptions up;
    up.prefix = kPrefix;
    up.count = 1;
    up.memory_mib = up.max_mib = 256;
    up.accel = made.accel.accel;
    up.disk = disk;
    up.relay_bytes = 4 << 20;
    up.timeout_ns = kBootNs;
    up.stop_fd = plan.stop_fd;
    StudyGuest guest(std::move(lab), lab_folder + "/" + kGuest + ".run", plan.stop_fd);
    FL_TRY_STATUS(guest.lab_->up(up, made.image, plan.on_step));
    return guest;
  }
  StudyGuest(StudyGuest&&) = default;
  StudyGuest& operator=(StudyGuest&&) = delete;
  ~StudyGuest() {
    if (lab_) (void)lab_->down(kPrefix);
  }

  // What the command said; an error if it did not end with 0.
  base::Result<std::string> run(const std::string& command) const {
    FL_TRY(auto agent, guest::AgentClient::connect(commands_));
    std::string said;
    const auto keep = [&](std::string_view bytes) {
      said += bytes.substr(0, kMostSaid - std::min(kMostSaid, said.size()));
      return true;
    };
    FL_TRY(const int status, agent.run(command, keep, stop_fd_));
    if (asked(stop_fd_)) return base::fail(ErrorKind::kClosed, "it was not finished");
    if (status == 0) return said;
    return base::fail(ErrorKind::kIo,
                      fmt::format("the guest's {} ended with {}: {}", base::quoted(command), status,
                                  base::quoted(said)));
  }

 private:
  StudyGuest(guest::Lab lab, std::string commands, int stop_fd)
      : lab_(std::make_unique<guest::Lab>(std::move(lab))),
        commands_(std::move(commands)),
        stop_fd_(stop_fd) {}
  std::unique_ptr<guest::Lab> lab_;
  std::string commands_;
  int stop_fd_;
};

// ---- one reading of the file ----

class Study {
 public:
  Study(const SchedulerPlan& plan, const StudyGuest& guest, const LoopDevice& loop,
        std::string lab_folder)
      : plan_(plan), guest_(guest), loop_(loop), lab_folder_(std::move(lab_folder)) {}

  // Schedulers that this side has.
  base::Result<std::vector<std::string>> schedulers(std::string_view side) const {
    if (side == "host") {
      FL_TRY(const std::string names, base::read_file(host_file(), kMostSaid));
      return names_in(names);
    }
    // Modules that nobody has asked for are not named.
    std::vector<std::string> there;
    for (const char* const name : {kNone, "mq-deadline", "kyber", "bfq"}) {
      if (choose("guest", name)) there.emplace_back(name);
    }
    FL_TRY_STATUS(choose("guest", kNone));
    return there;
  }

  base::Result<SchedulerRun> read_file(const std::string& side, const std::string& scheduler,
                                       std::uint32_t round) const {
    FL_TRY_STATUS(choose("guest", side == "guest" ? scheduler : kNone));
    FL_TRY_STATUS(choose("host", side == "host" ? scheduler : kNone));
    FL_TRY_STATUS(guest_.run("echo 3 > /proc/sys/vm/drop_caches"));
    const std::string to = fmt::format("{}/{}-{}-{}.flt", plan_.folder, side, scheduler, round);
    FL_TRY_STATUS(record(to));
    FL_TRY(const trace::Trace trace, trace::read_trace(to));
    auto run = figures(trace);
    if (!run) return base::fail(std::move(run).error().at(to));
    run->side = side;
    run->scheduler = scheduler;
    run->round = round;
    return run;
  }

 private:
  std::string host_file() const {
    return "/sys/block/" + std::filesystem::path(loop_.path()).filename().string() +
           "/queue/scheduler";
  }

  base::Status choose(std::string_view side, const std::string& scheduler) const {
    if (side == "host") {
      const base::Fd file(::open(host_file().c_str(), O_WRONLY | O_CLOEXEC));
      auto written = file ? base::write_all(file.get(), scheduler)
                          : base::fail_errno(errno, "open " + host_file());
      if (!written) return base::fail(std::move(written).error().at("choose " + scheduler));
      return {};
    }
    FL_TRY_STATUS(guest_.run("echo " + scheduler + " > /sys/block/vda/queue/scheduler"));
    return {};
  }

  base::Status record(const std::string& to) const {
    FL_TRY(auto recorder, trace::Recorder::create(to));
    FL_TRY(auto guest, guest::trace_guest(lab_folder_, kGuest));
    FL_TRY(auto host, trace::HostSource::open({loop_.path()}));
    recorder.add(std::move(guest));
    recorder.add(std::move(host));
    auto reading = std::async(
        std::launch::async, [this] { return guest_.run("dd if=/study/file of=/dev/null bs=64k"); });
    std::int64_t done_ns = 0;
    auto recorded = recorder.run([&] {
      if (reading.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return false;
      if (done_ns == 0) done_ns = base::monotonic_ns();
      return base::monotonic_ns() - done_ns >= kTailNs;
    });
    const auto read = reading.get();
    if (!read) return base::fail(read.error());
    return recorded;
  }

  static SideFigures side_of(const trace::Report& report, std::uint16_t source,
                             std::uint32_t device) {
    SideFigures side;
    for (const trace::DeviceReport& one : report.devices) {
      if (one.found.source != source || one.found.device != device || one.requests == 0) continue;
      side.requests = static_cast<double>(one.requests);
      side.merges = static_cast<double>(one.found.back_merges + one.found.front_merges);
      side.merged_kib = static_cast<double>(one.found.merged_sectors) / 2;
      side.request_kib = static_cast<double>(one.read_bytes) / 1024 / side.requests;
    }
    return side;
  }

  static double seconds_of(const trace::Trace& trace, std::uint16_t source) {
    std::int64_t first = 0;
    std::int64_t last = 0;
    for (const trace::Event& event : trace.events) {
      if (event.source != source) continue;
      if (first == 0 && event.act() == abi::BlockAct::kQueue) first = event.time_ns;
      if (event.act() == abi::BlockAct::kComplete) last = event.time_ns;
    }
    return static_cast<double>(last - first) * 1e-9;
  }

  static base::Result<SchedulerRun> figures(const trace::Trace& trace) {
    const trace::Report report = trace::make_report(trace);
    if (report.pairs.size() != 1 || report.pairs[0].staged.chains.empty()) {
      return base::fail(ErrorKind::kCorrupt, "no I/O of the guest was found on the host");
    }
    const trace::PairReport& pair = report.pairs[0];
    const trace::Pairing& pairing = pair.staged.pairing;
    SchedulerRun run;
    for (std::size_t i = 0; i < trace::kStages; ++i) run.stage_us[i] = pair.stages[i].mean() / 1000;
    run.q2c_us = pair.q2c.mean() / 1000;
    run.bound_us = static_cast<double>(pair.staged.bound_ns) / 1000;
    run.ios = static_cast<double>(pair.staged.chains.size());
    run.unmatched = static_cast<double>(pair.staged.unmatched + pair.staged.ambiguous);
    run.lost = static_cast<double>(trace.lost());
    run.seconds = seconds_of(trace, pairing.front_source);
    run.guest = side_of(report, pairing.front_source, pairing.front_device);
    run.host = side_of(report, pairing.back_source, pairing.back_device);
    return run;
  }

  const SchedulerPlan& plan_;
  const StudyGuest& guest_;
  const LoopDevice& loop_;
  std::string lab_folder_;
};

struct Variant {
  std::string side;
  std::string scheduler;
};

base::Result<std::vector<Variant>> variants_of(const Study& study,
                                               const std::vector<std::string>& sides) {
  std::vector<Variant> variants;
  for (const std::string& side : sides) {
    FL_TRY(const auto names, study.schedulers(side));
    for (const std::string& name : names) variants.push_back({side, name});
  }
  return variants;
}

// ---- figures ----

double median_of(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

// Every figure of a run, to take medians of them and to name the columns.
struct Column {
  const char* name;
  double& (*of)(SchedulerRun& run);
};
constexpr Column kColumns[] = {
    {"seconds", [](SchedulerRun& run) -> double& { return run.seconds; }},
    {"u_q2d_us", [](SchedulerRun& run) -> double& { return run.stage_us[0]; }},
    {"u_t_us", [](SchedulerRun& run) -> double& { return run.stage_us[1]; }},
    {"0_q2d_us", [](SchedulerRun& run) -> double& { return run.stage_us[2]; }},
    {"0_d2c_us", [](SchedulerRun& run) -> double& { return run.stage_us[3]; }},
    {"0_t_us", [](SchedulerRun& run) -> double& { return run.stage_us[4]; }},
    {"q2c_us", [](SchedulerRun& run) -> double& { return run.q2c_us; }},
    {"clock_bound_us", [](SchedulerRun& run) -> double& { return run.bound_us; }},
    {"ios", [](SchedulerRun& run) -> double& { return run.ios; }},
    {"unmatched", [](SchedulerRun& run) -> double& { return run.unmatched; }},
    {"lost_events", [](SchedulerRun& run) -> double& { return run.lost; }},
    {"guest_requests", [](SchedulerRun& run) -> double& { return run.guest.requests; }},
    {"guest_merges", [](SchedulerRun& run) -> double& { return run.guest.merges; }},
    {"guest_merged_kib", [](SchedulerRun& run) -> double& { return run.guest.merged_kib; }},
    {"guest_request_kib", [](SchedulerRun& run) -> double& { return run.guest.request_kib; }},
    {"host_requests", [](SchedulerRun& run) -> double& { return run.host.requests; }},
    {"host_merges", [](SchedulerRun& run) -> double& { return run.host.merges; }},
    {"host_merged_kib", [](SchedulerRun& run) -> double& { return run.host.merged_kib; }},
    {"host_request_kib", [](SchedulerRun& run) -> double& { return run.host.request_kib; }},
};

std::string us_text(double us) { return base::format_ns(static_cast<std::int64_t>(us * 1000)); }

}  // namespace

base::Result<std::vector<SchedulerRun>> study_schedulers(const SchedulerPlan& plan) {
  FL_TRY(const auto runtime, daemon::RuntimeDir::open(daemon::RuntimeDir::Purpose::kServe));
  const std::string lab_folder = runtime.path() + "/lab";
  FL_TRY_STATUS(trace::KernelSource::open({}));  // known before anything is made
  plan.on_step("making the guest's disk");
  FL_TRY(const DiskImage disk, DiskImage::make(plan.folder));
  FL_TRY(const LoopDevice loop, LoopDevice::attach(disk.path()));
  FL_TRY(const LibvirtHere libvirt, LibvirtHere::find(runtime.path()));
  FL_TRY(const StudyGuest guest, StudyGuest::boot(plan, libvirt.uri(), lab_folder, loop.path()));
  FL_TRY_STATUS(guest.run("mkdir -p /study && mount -t ext4 -o ro /dev/vda /study"));
  const Study study(plan, guest, loop, lab_folder);
  FL_TRY(const auto variants, variants_of(study, plan.sides));
  std::vector<SchedulerRun> runs;
  for (std::uint32_t round = 1; round <= plan.rounds; ++round) {
    plan.on_step(fmt::format("schedulers: round {} of {}", round, plan.rounds));
    for (const Variant& variant : variants) {
      FL_TRY(runs.emplace_back(), study.read_file(variant.side, variant.scheduler, round));
    }
  }
  return runs;
}

std::vector<SchedulerRun> medians(const std::vector<SchedulerRun>& runs) {
  std::vector<SchedulerRun> out;
  for (const SchedulerRun& first : runs) {
    if (first.round != 1) continue;
    std::vector<SchedulerRun> same;
    for (const SchedulerRun& run : runs) {
      if (run.side == first.side && run.scheduler == first.scheduler) same.push_back(run);
    }
    SchedulerRun median = first;
    for (const Column& column : kColumns) {
      std::vector<double> values;
      values.reserve(same.size());
      for (SchedulerRun& run : same) values.push_back(column.of(run));
      column.of(median) = median_of(std::move(values));
    }
    median.round = static_cast<std::uint32_t>(same.size());
    out.push_back(std::move(median));
  }
  return out;
}

void for_each_figure(SchedulerRun& run,
                     const std::function<void(const char* name, double value)>& take) {
  for (const Column& column : kColumns) take(column.name, column.of(run));
}

std::string schedulers_csv(const std::vector<SchedulerRun>& runs) {
  std::string out = "side,scheduler,round";
  for (const Column& column : kColumns) out += fmt::format(",{}", column.name);
  out += '\n';
  for (SchedulerRun run : runs) {
    out += fmt::format("{},{},{}", run.side, run.scheduler, run.round);
    for (const Column& column : kColumns) out += fmt::format(",{:.6g}", column.of(run));
    out += '\n';
  }
  return out;
}

std::string schedulers_text(const std::vector<SchedulerRun>& runs) {
  base::TextTable table({"varies", "scheduler", "seconds", "U-Q2D", "U-T", "0-Q2D", "0-D2C", "0-T",
                         "Q2C", "bound", "I/Os", "guest merged", "KiB each", "host merged",
                         "KiB each"});
  table.align_left(1);
  for (const SchedulerRun& run : runs) {
    std::vector<std::string> row = {run.side, run.scheduler, fmt::format("{:.2f}", run.seconds)};
    for (const double us : run.stage_us) row.push_back(us_text(us));
    row.insert(
        row.end(),
        {us_text(run.q2c_us), us_text(run.bound_us), fmt::format("{:.0f}", run.ios),
         fmt::format("{:.0f}", run.guest.merges), fmt::format("{:.1f}", run.guest.request_kib),
         fmt::format("{:.0f}", run.host.merges), fmt::format("{:.1f}", run.host.request_kib)});
    table.add(std::move(row));
  }
  return table.text();
}

std::string schedulers_script(std::string_view side) {
  std::string out = fmt::format(
      "set terminal svg size 900,700 dynamic\nset output '{0}-schedulers.svg'\n"
      "set datafile separator ','\nset multiplot layout 2,1\n"
      "set style data histograms\nset style fill solid 0.8\nset key outside\n"
      "set title \"the {0}'s I/O scheduler varies\"\nset ylabel 'mean of an I/O, microseconds'\n"
      "set yrange [0:*]\nset style histogram rowstacked\nset boxwidth 0.5\nplot ",
      side);
  for (std::size_t i = 0; i < trace::kStages; ++i) {
    out += fmt::format("{}'{}-schedulers.csv' every ::1 using {}:xtic(2) title '{}'",
                       i == 0 ? "" : ", \\\n  ", side, i + 5, trace::kStageNames[i]);
  }
  return out + fmt::format(
                   "\nunset title\nset ylabel 'merges'\nset style histogram clustered gap 2\n"
                   "set boxwidth 1\nset y2label 'KiB a request'\nset y2tics\nset ytics nomirror\n"
                   "set y2range [0:*]\n"
                   "plot '{0}-schedulers.csv' every ::1 using 16:xtic(2) title 'merges, guest', "
                   "'' every ::1 using 20 title 'merges, host', "
                   "'' every ::1 using 18 axes x1y2 title 'KiB, guest', "
                   "'' every ::1 using 22 axes x1y2 title 'KiB, host'\nunset multiplot\n",
                   side);
}

}  // namespace fairlead::apps
