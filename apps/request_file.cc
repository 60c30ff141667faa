// SPDX-License-Identifier: Apache-2.0
#include "apps/request_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/fd.h"
#include "disk/request_csv.h"
#include "trace/blktrace_file.h"
#include "trace/requests.h"
#include "trace/trace_file.h"

namespace fairlead::apps {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr std::size_t kTextBytes = 64;  // without a zero among its first: CSV

base::Result<std::size_t> read_piece(int file, std::vector<char>& piece, const std::string& path) {
  for (;;) {
    const ssize_t count = ::read(file, piece.data(), piece.size());
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) return base::fail_errno(errno, "read " + path);
  }
}

base::Result<disk::RequestTrace> read_csv(const base::Fd& file, std::string_view first,
                                          std::vector<char>& piece, const std::string& path) {
  disk::RequestCsv csv(path);
  FL_TRY_STATUS(csv.take(first));
  for (;;) {
    FL_TRY(const std::size_t count, read_piece(file.get(), piece, path));
    if (count == 0) return std::move(csv).finish();
    FL_TRY_STATUS(csv.take({piece.data(), count}));
  }
}

disk::RecordedRequest recorded(const trace::Request& request, std::int64_t arrived_ns) {
  disk::RecordedRequest one{.arrived_ns = arrived_ns,
                            .sector = request.sector,
                            .sector_count = request.sectors,
                            .op = request.writes ? disk::IoOp::kWrite : disk::IoOp::kRead};
  if (request.error == 0 && request.issue_ns != trace::kNever) {
    one.dispatched_ns = std::max(request.issue_ns, arrived_ns);
    one.ended_ns = std::max(request.complete_ns, one.dispatched_ns);
  }
  return one;
}

// Its bios; itself, if they are not known.
void add_request(const trace::DeviceRequests& device, const trace::Request& request,
                 std::vector<disk::RecordedRequest>& to) {
  if (request.bios == 0) {
    if (request.sectors > 0) to.push_back(recorded(request, request.issue_ns));
    return;
  }
  for (std::uint32_t i = 0; i < request.bios; ++i) {
    const trace::Bio& bio = device.bios[request.first_bio + i];
    disk::RecordedRequest one = recorded(request, bio.queue_ns);
    one.sector = bio.sector;
    one.sector_count = bio.sectors;
    one.owner = bio.pid;
    if (one.sector_count > 0) to.push_back(one);
  }
}

}  // namespace

base::Result<disk::RequestTrace> requests_of(const trace::Trace& trace, const std::string& name) {
  const auto devices = trace::find_requests(trace);
  const trace::DeviceRequests* chosen = nullptr;
  for (const trace::DeviceRequests& one : devices) {
    if (one.requests.empty()) continue;
    if (chosen != nullptr) {
      return base::fail(
          base::Error(base::ErrorKind::kInvalid, name + ": requests of several devices are in it")
              .advise("record one alone, as `blktrace -d DEVICE` does"));
    }
    chosen = &one;
  }
  disk::RequestTrace out{.name = name, .requests = {}};
  if (chosen == nullptr) return disk::in_order(std::move(out));
  for (const trace::Request& one : chosen->requests) add_request(*chosen, one, out.requests);
  for (std::size_t i = 0; i < out.requests.size(); ++i) out.requests[i].number = i;
  std::ranges::sort(out.requests, {}, [](const disk::RecordedRequest& one) {
    return std::pair(one.arrived_ns, one.number);
  });
  // A recording's clock may begin before its first event.
  const std::int64_t early_ns = out.requests.empty() ? 0 : out.requests.front().arrived_ns;
  for (std::size_t i = 0; i < out.requests.size(); ++i) {
    disk::RecordedRequest& one = out.requests[i];
    one.number = i;
    if (early_ns >= 0) continue;
    one.arrived_ns -= early_ns;
    if (!one.served()) continue;
    one.dispatched_ns -= early_ns;
    one.ended_ns -= early_ns;
  }
  return disk::in_order(std::move(out));
}

base::Result<disk::RequestTrace> read_requests(const std::string& path) {
  const base::Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const int why = errno;
  // The files of a set of blktrace's have longer names.
  const bool set = !file && ::access((path + ".blktrace.0").c_str(), F_OK) == 0;
  if (!file && !set) return base::fail_errno(why, "read " + path);
  std::vector<char> piece(kPieceBytes);
  std::string first;
  if (file) {
    FL_TRY(const std::size_t count, read_piece(file.get(), piece, path));
    first.assign(piece.data(), count);
  }
  if (trace::begins_recording(first)) {
    FL_TRY(const trace::Trace recording, trace::read_trace(path));
    return requests_of(recording, path);
  }
  if (!set && first.find('\0') >= kTextBytes) return read_csv(file, first, piece, path);
  FL_TRY(const trace::Trace recording, trace::read_blktrace(path));
  return requests_of(recording, path);
}

}  // namespace fairlead::apps
