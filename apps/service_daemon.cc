// SPDX-License-Identifier: Apache-2.0
#include "apps/service_daemon.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "apps/command.h"
#ifdef FL_HAVE_DRIVES
#include "apps/drive_file.h"
#endif
#include "apps/service_questions.h"
#include "base/file.h"
#include "base/memory_room.h"
#include "base/units.h"
#include "block/service_host.h"
#include "daemon/lock_file.h"
#include "daemon/log.h"
#include "daemon/process.h"
#include "daemon/runtime_dir.h"
#include "daemon/sandbox.h"
#include "daemon/signals.h"
#include "relay/registry.h"

namespace fairlead::apps {

using base::ErrorKind;

namespace {

constexpr const char* kProgram = "fairlead-service";

// All that can fail is opened before the daemon detaches.
struct Opened {
  daemon::RuntimeFiles files;
  daemon::LockFile lock;
  block::Image image;
  base::Fd last;  // where the final report goes; opened now, because the sandbox forbids it later
  base::Fd disk_log;
};

// Emptied when the service begins, not before it is known that it can.
base::Result<base::Fd> open_disk_log(const ServiceCommand& command) {
  if (command.disk_log.empty()) return base::Fd();
  base::Fd file(::open(command.disk_log.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!file) return base::fail_errno(errno, "write " + command.disk_log);
  return file;
}

base::Result<Opened> open_everything(const ServiceCommand& command) {
  FL_TRY(const auto folder, daemon::RuntimeDir::open(daemon::RuntimeDir::Purpose::kServe));
  FL_TRY(auto files, folder.files(command.name));
  FL_TRY(auto image, block::Image::open(command.image));
  auto lock = daemon::LockFile::take(files.lock);
  if (!lock) {
    if (lock.error().kind() != ErrorKind::kBusy) return base::fail(std::move(lock).error());
    return base::fail(std::move(lock)
                          .error()
                          .at("start '" + command.name + "'")
                          .advise("stop it, or give this one another --name"));
  }
  base::Fd last(::open(files.last.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!last) return base::fail_errno(errno, "create " + files.last);
  FL_TRY(auto disk_log, open_disk_log(command));
  return Opened{std::move(files), *std::move(lock), std::move(image), std::move(last),
                std::move(disk_log)};
}

// 1 % of the image, or what is asked; not more than this machine's memory can bear.
base::Result<std::uint64_t> cache_bytes(const ServiceCommand& command, const block::Image& image) {
  if (image.is_null()) return 0;
  const std::uint64_t most = image.bytes() / 100;
  const std::uint64_t room = base::memory_room_bytes();
  if (!command.cache_bytes) return std::min(most, room / 4);
  const std::string asked = "--cache-bytes " + std::to_string(*command.cache_bytes);
  if (*command.cache_bytes > most) {
    return base::fail(ErrorKind::kInvalid,
                      asked + ": at most 1 % of the image, " + std::to_string(most) + " bytes");
  }
  if (*command.cache_bytes > room) {
    return base::fail(ErrorKind::kLimit, asked + ": this machine has " + base::format_bytes(room) +
                                             " of memory to give");
  }
  return *command.cache_bytes;
}

// Beyond daemon::base_calls() and local_socket_calls(): what the data path does,
// and what stdio asks of its output before the first line.
constexpr std::array<daemon::AllowedCall, 4> kDataPathCalls{
    {{"io_uring_enter"},
     {"io_uring_register"},
     {"sched_setaffinity"},
     {"ioctl", 1, ~std::uint64_t{0}, TCGETS}}};

enum class Stage : std::uint8_t { kBeforeThreads, kServing };

// Capabilities belong to a thread, so they go before the others start; the filter reaches all
// threads, and comes when everything is open.
base::Status give_up_privileges(Stage stage, daemon::Log& log) {
  daemon::SandboxOptions options;
  options.capabilities = stage == Stage::kBeforeThreads;
  options.filter = stage == Stage::kServing;
  const auto sockets = daemon::local_socket_calls();
  options.calls.assign(sockets.begin(), sockets.end());
  options.calls.insert(options.calls.end(), kDataPathCalls.begin(), kDataPathCalls.end());
  FL_TRY(const auto report, daemon::enter_sandbox(options));
  for (const auto& notice : report.notices) log.write(daemon::Level::kNotice, notice);
  return {};
}

std::string announcement(const ServiceCommand& command, const Opened& opened) {
  return std::string(kProgram) + ": serving " + opened.image.name() + " (" +
         std::to_string(opened.image.sectors()) + " sectors, " +
         base::format_bytes(opened.image.bytes()) + ") as '" + command.name + "', pid " +
         std::to_string(::getpid());
}

// All of it or nothing: half a report, or the end of an older one behind it, would be a false one.
void keep_report(const Opened& opened, const std::string& text, daemon::Log& log) {
  const int file = opened.last.get();
  const auto written = base::write_all(file, text);
  if (::ftruncate(file, written ? static_cast<off_t>(text.size()) : 0) == 0 && written) return;
  log.write(daemon::Level::kError,
            "the last report is not kept in " + opened.files.last + ": " +
                (written ? std::string(std::strerror(errno)) : written.error().message()));
}

// --max-clients is what one user may have; for the other who is let in (root, beside the service's
// own user) there are seats besides, so that the one cannot lock out the other.
std::uint32_t seats_for_others(std::uint32_t clients) { return std::max(clients / 64, 1U); }

// A client takes a socket and a doorbell; the usual soft limit of 1024 is for programs that use
// select(2).
void allow_descriptors(std::uint32_t clients, daemon::Log& log) {
  constexpr rlim_t kOthers = 256;
  const rlim_t wanted = 2 * rlim_t{clients} + kOthers;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (::setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == wanted) return;
  log.write(daemon::Level::kNotice, "this system gives " + std::to_string(limit.rlim_cur) +
                                        " descriptors: " + std::to_string(clients) +
                                        " clients need " + std::to_string(wanted));
}

void tell_cache(std::uint64_t bytes, const ServiceCommand& command, const block::Image& image,
                daemon::Log& log) {
  if (command.cache_bytes || image.is_null() || bytes == image.bytes() / 100) return;
  log.write(daemon::Level::kNotice, "the cache has " + base::format_bytes(bytes) +
                                        ", a quarter of the memory to be had; "
                                        "1 % of the image would be " +
                                        base::format_bytes(image.bytes() / 100));
}

// Found by `fairlead trace` under the service's name.  A service without it serves all the same.
struct Trace {
  relay::Producer channel;
  relay::Announcement announcement;
};
base::Result<Trace> open_trace(const std::string& service) {
  FL_TRY(const auto folder, daemon::RuntimeDir::open(daemon::RuntimeDir::Purpose::kServe));
  FL_TRY(auto channel, relay::Producer::open({.streams = 1, .sub_buffers = 32}));
  FL_TRY(auto announcement,
         relay::Announcement::make(folder, block::kTracePrefix + service, channel));
  return Trace{std::move(channel), std::move(announcement)};
}

base::Status serve(const ServiceCommand& command, Opened opened, std::uint64_t cache,
                   daemon::Readiness& readiness) {
  const base::SystemClock clock;
  daemon::Log log(clock, {.journal = daemon::is_journal(STDERR_FILENO)});
  FL_TRY_STATUS(opened.lock.claim());
  FL_TRY(auto signals, daemon::Signals::take());
  const std::string greeting = announcement(command, opened);
  block::HostOptions options;
  options.socket_path = opened.files.socket;
  options.limits = command.limits;
  options.clients_per_uid = command.limits.clients;
  options.limits.clients += seats_for_others(command.limits.clients);
  options.client_bytes = base::memory_room_bytes() / 2;
  allow_descriptors(options.limits.clients, log);
  options.limits.cache_bytes = cache;
  tell_cache(cache, command, opened.image, log);
  options.signal_fd = signals.fd();
  options.on_signal = [&] {
    const daemon::Wish wish = signals.next();
    if (wish == daemon::Wish::kForce) ::_exit(kFailed);
    return wish == daemon::Wish::kDrain;
  };
  options.log = [&](std::string_view key, std::string_view text) {
    log.limited(daemon::Level::kWarning, key, text);
  };
  options.beat_ns = readiness.notifier().watchdog_ns();
  options.on_beat = [&] {
    if (const auto told = readiness.notifier().send("WATCHDOG=1"); !told) {
      log.limited(daemon::Level::kWarning, "watchdog", told.error().message());
    }
  };
  const int last = opened.last.get();
  auto trace = open_trace(command.name);
  if (trace) {
    options.trace = &trace->channel;
  } else {
    log.write(daemon::Level::kNotice, "no trace of it: " + trace.error().message());
  }
  options.ready = [&, last]() -> base::Status {
    // From here on a report is this run's: who dies without one must not pass for an older.
    if (::ftruncate(last, 0) != 0) return base::fail_errno(errno, "empty " + opened.files.last);
    if (command.sandbox) FL_TRY_STATUS(give_up_privileges(Stage::kServing, log));
    return readiness.ready(greeting);
  };
  if (command.sandbox) FL_TRY_STATUS(give_up_privileges(Stage::kBeforeThreads, log));
  std::unique_ptr<block::DiskLog> disk_log;
  if (opened.disk_log) {
    FL_TRY(disk_log, block::DiskLog::begin(
                         std::move(opened.disk_log), command.disk_log,
                         [&](const std::string& why) { log.write(daemon::Level::kWarning, why); }));
    options.limits.throttle->log = disk_log.get();
  }
  FL_TRY(auto host, block::ServiceHost::create(std::move(opened.image), options, clock));
  FL_TRY(const block::HostEnd end, host->serve());
  if (end.how == block::RunEnd::kIdle) {
    log.write(daemon::Level::kInfo,
              "no request for " + base::format_ns(options.limits.idle_ns) + ": ending");
  }
  const std::string report = block::report(end.totals);
  log.write(daemon::Level::kInfo, summary_line(report));
  keep_report(opened, report, log);
  return {};
}

base::Status need_throttle(const ServiceCommand& command) {
  const char* given = command.k ? "--k" : command.disk_log.empty() ? nullptr : "--disk-log";
  if (given == nullptr) return {};
  return base::fail(base::Error(ErrorKind::kInvalid, std::string(given) + ": nothing is throttled")
                        .advise("say to which drive: --throttle"));
}

// A scheduler alone: the image keeps its own times.
base::Status choose_scheduler(ServiceCommand& command) {
  FL_TRY_STATUS(need_throttle(command));
  if (!command.scheduler) {
    if (!command.disk_depth) return {};
    return base::fail(base::Error(ErrorKind::kInvalid, "--disk-depth: there is no scheduler")
                          .advise("name one: --scheduler"));
  }
  block::ScheduledOptions chosen;
  chosen.scheduler = *command.scheduler;
  chosen.depth = std::min(command.disk_depth.value_or(chosen.depth), command.limits.queue_depth);
  chosen.shape.slots = std::min(chosen.shape.slots, command.limits.queue_depth);
  command.limits.scheduled = std::move(chosen);
  return {};
}

// The drive's file is read before the daemon detaches.
base::Status choose_disk(ServiceCommand& command) {
  block::ThrottleOptions& throttle = command.throttle;
  if (throttle.drive_name.empty()) return choose_scheduler(command);
#ifdef FL_HAVE_DRIVES
  FL_TRY(const Drive drive, find_drive(throttle.drive_name));
  throttle.drive = drive.shape;
#else
  return base::fail(ErrorKind::kUnsupported,
                    "--throttle: built without libtomlplusplus-dev, no drives");
#endif
  throttle.scheduler = command.scheduler.value_or(throttle.scheduler);
  throttle.queueing.depth = command.disk_depth.value_or(throttle.queueing.depth);
  if (command.k) {
    throttle.k = command.k->k;
    throttle.locked = command.k->locked;
  }
  throttle.shape.slots = std::min(throttle.shape.slots, command.limits.queue_depth);
  command.limits.throttle = throttle;
  return {};
}

}  // namespace

int start_service(ServiceCommand command) {
  if (auto chosen = choose_disk(command); !chosen) return fail(kProgram, chosen.error());
  auto opened = open_everything(command);
  if (!opened) return fail(kProgram, opened.error());
  const auto cache = cache_bytes(command, opened->image);
  if (!cache) {
    return cache.error().kind() == ErrorKind::kInvalid
               ? fail_usage(kProgram, cache.error().message())
               : fail(kProgram, cache.error());
  }
  std::vector<int> keep{opened->lock.fd(), opened->image.fd(), opened->last.get()};
  if (opened->disk_log) keep.push_back(opened->disk_log.get());
  auto readiness = command.foreground ? daemon::stay_in_foreground(kProgram)
                                      : daemon::detach({.program = kProgram,
                                                        .log_path = opened->files.log,
                                                        .keep_fds = keep,
                                                        .session = daemon::Session::kStarters});
  if (!readiness) return fail(kProgram, readiness.error());
  const auto status = serve(command, *std::move(opened), *cache, *readiness);
  if (!status) return readiness->failed(status.error());
  return kDone;
}

}  // namespace fairlead::apps
