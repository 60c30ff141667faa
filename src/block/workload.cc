// SPDX-License-Identifier: Apache-2.0
#include "block/workload.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "base/memory_room.h"
#include "base/random.h"
#include "base/units.h"
#include "disk/zipf.h"

namespace fairlead::block {

using base::ErrorKind;

namespace {

constexpr std::uint64_t kRecordBytes = 512 + sizeof(std::uint64_t);
constexpr double kMostSkew = 10;

template <typename T>
T* map_memory(std::uint64_t bytes) {
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  return address == MAP_FAILED ? nullptr : static_cast<T*>(address);
}

// Sector of request n.
class Chooser {
 public:
  Chooser(const WorkloadOptions& options, const abi::BlockGeometry& geometry)
      : seed_(options.seed),
        kind_(options.pattern.kind),
        first_(geometry.first_sector),
        count_(geometry.last_sector - geometry.first_sector + 1) {
    if (kind_ == Pattern::Kind::kZipf)
      zipf_.emplace(Zipf{{count_, options.pattern.skew}, disk::Scatter(count_)});
  }
  std::uint64_t sector(std::uint64_t n) const {
    if (kind_ == Pattern::Kind::kSequential) return first_ + n % count_;
    base::Random random(seed_ + n * 0x9e3779b97f4a7c15);
    return first_ + (zipf_ ? zipf_->scatter(zipf_->ranks.rank(random)) : random.below(count_));
  }

 private:
  std::uint64_t seed_;
  Pattern::Kind kind_;
  std::uint64_t first_;
  std::uint64_t count_;
  struct Zipf {
    disk::Zipf ranks;
    disk::Scatter scatter;  // so that the favourites are not neighbours
  };
  std::optional<Zipf> zipf_;
};

enum class Go : std::uint8_t { kWait, kRun, kGiveUp };

// What the threads of a run share.
struct Run {
  Client& client;
  const WorkloadOptions& options;
  const Chooser& chooser;
  Records& records;
  std::atomic<std::uint64_t>& done;
  std::uint64_t limit;
  std::atomic<Go> go{Go::kWait};
  std::atomic<std::uint64_t> next{0};
  std::atomic<ReadStatus> failure{ReadStatus::kOk};
  std::atomic<std::uint64_t> failed_sector{0};
};

struct Worker {
  base::Summary latency;
  base::Histogram histogram;
  std::int64_t first_ns = 0;
  std::int64_t last_ns = 0;
};

void work(Run& run, Worker& worker) {
  std::array<std::byte, 512> scratch;
  const bool keep = run.options.keep_records;
  run.go.wait(Go::kWait);
  if (run.go.load() == Go::kGiveUp) return;
  std::int64_t before = base::monotonic_ns();
  worker.first_ns = worker.last_ns = before;
  const std::int64_t deadline =
      run.options.duration_ns > 0 ? before + run.options.duration_ns : INT64_MAX;
  while (before < deadline && run.failure.load(std::memory_order_relaxed) == ReadStatus::kOk) {
    const std::uint64_t n = run.next.fetch_add(1, std::memory_order_relaxed);
    if (n >= run.limit) break;
    const std::uint64_t sector = run.chooser.sector(n);
    const auto out =
        keep ? std::span(run.records.data_of(n), scratch.size()) : std::span<std::byte>(scratch);
    before = base::monotonic_ns();
    const ReadStatus status = run.client.read(sector, out);
    const std::int64_t after = base::monotonic_ns();
    if (status != ReadStatus::kOk) {
      run.failed_sector.store(sector, std::memory_order_relaxed);
      run.failure.store(status, std::memory_order_release);
      break;
    }
    if (keep) run.records.sectors()[n] = sector;
    worker.latency.add(static_cast<double>(after - before));
    worker.histogram.record(static_cast<std::uint64_t>(after - before));
    worker.last_ns = before = after;
    run.done.fetch_add(1, std::memory_order_relaxed);
  }
}

// All start together, or none if not all can be had.
base::Status run_threads(Run& run, std::vector<Worker>& workers) {
  std::vector<std::jthread> threads;
  threads.reserve(workers.size());
  Go go = Go::kRun;
  try {
    for (auto& worker : workers) threads.emplace_back([&run, &worker] { work(run, worker); });
  } catch (const std::system_error&) {
    go = Go::kGiveUp;
  }
  run.go.store(go);
  run.go.notify_all();
  const std::size_t started = threads.size();
  threads.clear();  // joins
  if (go == Go::kRun) return {};
  return base::fail(base::Error(ErrorKind::kLimit, "this system gives only " +
                                                       std::to_string(started) + " threads of " +
                                                       std::to_string(workers.size()))
                        .advise("ask for fewer"));
}

WorkloadResult merge(const std::vector<Worker>& workers) {
  WorkloadResult result;
  std::int64_t first = INT64_MAX;
  std::int64_t last = 0;
  for (const Worker& worker : workers) {
    result.latency.merge(worker.latency);
    result.histogram.merge(worker.histogram);
    if (worker.latency.count() == 0) continue;
    first = std::min(first, worker.first_ns);
    last = std::max(last, worker.last_ns);
  }
  result.requests = result.latency.count();
  result.wall_ns = result.requests == 0 ? 0 : last - first;
  return result;
}

constexpr int kCreate = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
constexpr const char* kFilesAdvice = "run it in a folder of yours with room, or with --no-files";

base::Error create_error(int number, const std::string& path) {
  auto error = number == ELOOP ? base::Error(ErrorKind::kInvalid,
                                             "create " + path + ": a symbolic link is in the way")
                               : base::Error::from_errno(number, "create " + path);
  return std::move(error).advise(kFilesAdvice);
}

base::Result<base::Fd> create(const std::string& path) {
  base::Fd file(::open(path.c_str(), kCreate | O_TRUNC, 0644));
  if (!file) return base::fail(create_error(errno, path));
  return file;
}

base::Error write_error(base::Error error, const std::string& path) {
  return std::move(error).at(path).advise(kFilesAdvice);
}

base::Status write_sectors(const base::Fd& file, const std::string& path,
                           const std::uint64_t* sectors, std::uint64_t count) {
  std::string text;
  for (std::uint64_t n = 0; n < count; ++n) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, sectors[n]).ptr;
    text.append(digits, end);
    text += '\n';
    if (text.size() < 1 << 20 && n + 1 < count) continue;
    auto written = base::write_all(file.get(), text);
    if (!written) return base::fail(write_error(std::move(written).error(), path));
    text.clear();
  }
  return {};
}

base::Status write_data(const base::Fd& file, const std::string& path, const std::byte* data,
                        std::uint64_t count) {
  auto written = base::write_all(file.get(), {reinterpret_cast<const char*>(data), count * 512});
  if (!written) return base::fail(write_error(std::move(written).error(), path));
  return {};
}

}  // namespace

base::Result<Pattern> parse_pattern(std::string_view text) {
  if (text == "uniform") return Pattern{};
  if (text == "seq") return Pattern{Pattern::Kind::kSequential, 0};
  constexpr std::string_view kZipf = "zipf:";
  if (text.starts_with(kZipf)) {
    const std::string_view number = text.substr(kZipf.size());
    double skew = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), skew);
    if (error == std::errc() && end == number.data() + number.size() && skew >= 0 &&
        skew <= kMostSkew) {
      return Pattern{Pattern::Kind::kZipf, skew};
    }
  }
  return base::fail(ErrorKind::kInvalid, "pattern '" + std::string(text) +
                                             "': use uniform, zipf:S with S from 0 to 10, or seq");
}

Records::~Records() {
  if (sectors_ != nullptr) ::munmap(sectors_, capacity_ * sizeof(std::uint64_t));
  if (data_ != nullptr) ::munmap(data_, capacity_ * 512);
}

base::Status Records::reserve(std::uint64_t count) {
  const std::uint64_t most = base::memory_room_bytes() / 10 * 9 / kRecordBytes;
  if (count > most) {
    return base::fail(
        base::Error(ErrorKind::kLimit, "keeping " + std::to_string(count) +
                                           " answers needs more memory than is free (room for " +
                                           std::to_string(most) + ")")
            .advise("ask for fewer requests, or --no-files"));
  }
  capacity_ = count;
  sectors_ = map_memory<std::uint64_t>(count * sizeof(std::uint64_t));
  data_ = map_memory<std::byte>(count * 512);
  if (sectors_ == nullptr || data_ == nullptr) {
    return base::fail_errno(ENOMEM, "keep " + std::to_string(count) + " answers");
  }
  return {};
}

base::Status Records::try_files(const std::string& suffix) {
  for (const std::string& path : {"sectors." + suffix, "read." + suffix}) {
    if (const base::Fd made(::open(path.c_str(), kCreate | O_EXCL, 0644)); made) {
      ::unlink(path.c_str());
      continue;
    }
    // One of an earlier process may be replaced.
    const base::Fd there(errno == EEXIST ? ::open(path.c_str(), kCreate, 0644) : -1);
    if (!there) return base::fail(create_error(errno, path));
  }
  return {};
}

base::Status Records::write(std::uint64_t count, const std::string& suffix) const {
  const std::string sectors = "sectors." + suffix;
  const std::string data = "read." + suffix;
  FL_TRY(const base::Fd list, create(sectors));
  const auto bytes = create(data);
  base::Status status = bytes ? write_sectors(list, sectors, sectors_, count)
                              : base::Status(base::fail(bytes.error()));
  if (status) status = write_data(*bytes, data, data_, count);
  if (status) return status;
  ::unlink(sectors.c_str());
  if (bytes) ::unlink(data.c_str());
  return status;
}

base::Result<WorkloadResult> run(Client& client, const abi::BlockGeometry& geometry,
                                 const WorkloadOptions& options, Records& records,
                                 std::atomic<std::uint64_t>& done) {
  const Chooser chooser(options, geometry);
  std::uint64_t limit = options.requests > 0 ? options.requests : UINT64_MAX;
  if (options.keep_records) limit = std::min(limit, records.capacity());
  Run shared{.client = client,
             .options = options,
             .chooser = chooser,
             .records = records,
             .done = done,
             .limit = limit};
  std::vector<Worker> workers(options.threads);
  FL_TRY_STATUS(run_threads(shared, workers));
  const ReadStatus failure = shared.failure.load(std::memory_order_acquire);
  if (failure != ReadStatus::kOk) {
    return base::fail(
        failure == ReadStatus::kClosed ? ErrorKind::kClosed : ErrorKind::kIo,
        "read sector " + std::to_string(shared.failed_sector.load()) + ": " + explain(failure));
  }
  return merge(workers);
}

std::string result_line(const WorkloadResult& result) {
  char line[160];
  std::snprintf(line, sizeof line, "%.0f|%.1f|%.0f|%.1f|%.1f", result.latency.max(),
                result.latency.mean(), result.latency.min(), result.latency.standard_deviation(),
                result.per_second());
  return line;
}

}  // namespace fairlead::block
