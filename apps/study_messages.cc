// SPDX-License-Identifier: Apache-2.0
#include "apps/study_messages.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text_table.h"
#include "base/units.h"

namespace fairlead::apps {
namespace {

constexpr std::uint32_t kDocumentBytes = 26;  // a message of the document's second sweep
constexpr Carrier kCarriers[] = {Carrier::kRelay, Carrier::kPipe, Carrier::kUnix, Carrier::kTcp};

base::Status measure(MessagePoint& point, const MessagePlan& plan) {
  if (plan.stop && plan.stop()) return base::fail(base::ErrorKind::kClosed, "it was not finished");
  MessageStreamPlan stream;
  stream.carrier = point.carrier;
  stream.write_bytes = point.write_bytes;
  stream.read_bytes = point.read_bytes;
  stream.warm_up_ns = plan.point_ns / 5;
  stream.duration_ns = plan.point_ns;
  stream.pin = true;
  FL_TRY(const MessageStreamResult result, run_message_stream(stream));
  point.bytes_per_s.push_back(result.bytes_per_second());
  std::ranges::sort(point.bytes_per_s);
  return {};
}

MessageStudy points() {
  MessageStudy study;
  for (const Carrier carrier : kCarriers) {
    for (const std::uint32_t bytes : message_stream_sizes()) {
      study.by_message.push_back({carrier, bytes, bytes, {}});
    }
  }
  for (const std::uint32_t bytes : message_stream_sizes()) {
    study.by_read.push_back({Carrier::kRelay, kDocumentBytes, bytes, {}});
  }
  return study;
}

void add_rows(std::string& out, std::string_view sweep, const std::vector<MessagePoint>& points) {
  for (const MessagePoint& point : points) {
    out += fmt::format("{},{},{},{},{:.0f},{:.0f},{:.0f},{:.0f}\n", sweep, name_of(point.carrier),
                       point.write_bytes, point.read_bytes, point.median() / point.write_bytes,
                       point.median(), point.bytes_per_s.front(), point.bytes_per_s.back());
  }
}

std::string rate(const MessagePoint& point) {
  return base::format_bytes(static_cast<std::uint64_t>(point.median())) + "/s";
}

}  // namespace

base::Result<MessageStudy> study_messages(const MessagePlan& plan) {
  MessageStudy study = points();
  for (std::uint32_t round = 1; round <= plan.rounds; ++round) {
    if (plan.on_step) plan.on_step(fmt::format("messages: round {} of {}", round, plan.rounds));
    for (auto* const sweep : {&study.by_message, &study.by_read}) {
      for (MessagePoint& point : *sweep) FL_TRY_STATUS(measure(point, plan));
    }
  }
  return study;
}

std::string messages_csv(const MessageStudy& study) {
  std::string out =
      "sweep,carrier,write_bytes,read_bytes,messages_per_s,bytes_per_s,least_bytes_per_s,"
      "most_bytes_per_s\n";
  add_rows(out, "message", study.by_message);
  add_rows(out, "read", study.by_read);
  return out;
}

std::string messages_text(const MessageStudy& study) {
  const auto sizes = message_stream_sizes();
  base::TextTable table({"message", "relay", "pipe", "unix", "tcp", "relay, 26 B, read by"});
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    std::vector<std::string> row = {base::format_bytes(sizes[i])};
    for (std::size_t at = i; at < study.by_message.size(); at += sizes.size()) {
      row.push_back(rate(study.by_message[at]));
    }
    row.push_back(rate(study.by_read[i]));
    table.add(std::move(row));
  }
  return table.text();
}

std::string messages_script() {
  std::string out =
      "set terminal svg size 900,700 dynamic\nset output 'messages.svg'\n"
      "set datafile separator ','\nset multiplot layout 2,1\n"
      "set logscale xy\nset ylabel 'bytes a second'\nset format y '%.0s%cB'\nset format x "
      "'%.0s%cB'\n"
      "set grid\nset key outside\nset xlabel 'bytes of a message, written and read'\nplot ";
  for (const Carrier carrier : kCarriers) {
    out += fmt::format(
        "{}'messages.csv' every ::1 using (strcol(1) eq 'message' && strcol(2) eq '{}' ? $3 : "
        "1/0):6:7:8 with yerrorlines title '{}'",
        carrier == kCarriers[0] ? "" : ", \\\n  ", name_of(carrier), name_of(carrier));
  }
  return out +
         "\nset xlabel 'bytes read at once; messages of 26 bytes'\n"
         "plot 'messages.csv' every ::1 using (strcol(1) eq 'read' ? $4 : 1/0):6:7:8 with "
         "yerrorlines title 'relay'\nunset multiplot\n";
}

}  // namespace fairlead::apps
