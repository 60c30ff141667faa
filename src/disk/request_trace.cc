// SPDX-License-Identifier: Apache-2.0
#include "disk/request_trace.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

namespace fairlead::disk {
namespace {

base::Error wrong(const RequestTrace& trace, const RecordedRequest& request,
                  const std::string& why) {
  return {base::ErrorKind::kInvalid, fmt::format("{}: {}", trace.place(request), why)};
}

base::Status renumber_owners(RequestTrace& trace) {
  const auto largest = std::ranges::max(trace.requests, {}, &RecordedRequest::owner).owner;
  trace.owners = largest + 1;
  if (largest < RequestTrace::kMostOwners) return {};
  std::unordered_map<std::uint32_t, std::uint32_t> numbers;
  for (RecordedRequest& one : trace.requests) {
    const auto next = static_cast<std::uint32_t>(numbers.size());
    one.owner = numbers.emplace(one.owner, next).first->second;
    if (numbers.size() <= RequestTrace::kMostOwners) continue;
    return base::fail(
        base::Error(base::ErrorKind::kLimit, fmt::format("{}: more than {} processes", trace.name,
                                                         RequestTrace::kMostOwners))
            .advise("cut it into several traces"));
  }
  trace.owners = static_cast<std::uint32_t>(numbers.size());
  return {};
}

}  // namespace

std::string RequestTrace::place(const RecordedRequest& request) const {
  if (request.line != 0) return fmt::format("{} line {}", name, request.line);
  return fmt::format("{} request {}", name, request.number);
}

base::Result<RequestTrace> in_order(RequestTrace trace) {
  if (trace.requests.empty()) {
    return base::fail(base::ErrorKind::kInvalid, trace.name + ": no request is in it");
  }
  std::ranges::sort(trace.requests, {},
                    [](const RecordedRequest& one) { return std::pair(one.number, one.line); });
  const RecordedRequest* last = nullptr;
  for (const RecordedRequest& one : trace.requests) {
    if (last != nullptr && one.number == last->number) {
      return base::fail(wrong(trace, one, fmt::format("number {} is there twice", one.number)));
    }
    if (last != nullptr && one.arrived_ns < last->arrived_ns) {
      return base::fail(
          wrong(trace, one,
                fmt::format("time runs backwards, from {} ns to {}", last->arrived_ns,
                            one.arrived_ns))
              .advise("sort the requests by time, or number them in a column `number`"));
    }
    last = &one;
  }
  FL_TRY_STATUS(renumber_owners(trace));
  return trace;
}

base::Status fits(const RequestTrace& trace, std::uint64_t sectors, const std::string& drive) {
  for (const RecordedRequest& one : trace.requests) {
    if (one.end() <= sectors) continue;
    return base::fail(wrong(trace, one,
                            fmt::format("sectors {} to {} are past the end of {}, which has {}",
                                        one.sector, one.end() - 1, drive, sectors))
                          .advise("take a larger drive, or leave these requests out"));
  }
  return {};
}

}  // namespace fairlead::disk
