// SPDX-License-Identifier: Apache-2.0
//
// Requests of a disk as CSV: what `disk simulate --log` and a throttled service write, and what
// `disk` reads as a trace.  The first line names the columns, in any order:
//
//     arrived_UNIT or time_UNIT    when it came to the disk; has to be there
//     sector, sectors              of 512 bytes; have to be there
//     op                           read, write; R, W.  Without it all are reads
//     owner or process             a number; without it all are of one process
//     number                       order of arrival; without it the lines are in that order
//     dispatched_UNIT, ended_UNIT  when it went to the disk, and when it was done
//     service_UNIT, response_UNIT  the time from dispatch, from arrival to the end, if those two
//                                  are not there; service alone: it was dispatched as it came
//     hit                          is passed over
//
// UNIT is s, ms, us or ns.  Empty lines and those that begin with # are passed over.
//
// Thread-safety: none.  Errors: one line with file, line and what is expected; kInvalid, or kLimit
// for more than RequestTrace::kMostRequests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "disk/request_story.h"
#include "disk/request_trace.h"

namespace fairlead::disk {

inline constexpr std::string_view kRequestCsvHeader =
    "number,owner,op,sector,sectors,arrived_ns,dispatched_ns,ended_ns,hit\n";

// A line of a file with that header.
void append_csv(std::string& to, const RequestStory& story);

// Takes a file in pieces of any size.
class RequestCsv {
 public:
  explicit RequestCsv(std::string name) { trace_.name = std::move(name); }

  base::Status take(std::string_view bytes);
  base::Result<RequestTrace> finish() &&;

 private:
  struct Row;
  enum class Field : std::uint8_t {
    kNumber,
    kOwner,
    kOp,
    kSector,
    kSectors,
    kArrived,
    kDispatched,
    kEnded,
    kService,
    kResponse,
    kHit,
    kFields
  };
  struct Column {
    Field field;
    std::int64_t unit_ns;
    std::string name;
  };

  base::Status take_line(std::string_view line);
  base::Status take_header(std::string_view line);
  base::Status take_row(std::string_view line);
  base::Status set(Row& row, const Column& column, std::string_view text) const;
  base::Status add(const Row& row);
  bool has(Field field) const noexcept;
  base::Error wrong(std::string_view why) const;
  static base::Result<Column> column_of(std::string_view name);

  RequestTrace trace_;
  std::vector<Column> columns_;
  std::string rest_;  // of a line that has not ended
  std::uint32_t line_ = 0;
};

}  // namespace fairlead::disk
