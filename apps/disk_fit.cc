// SPDX-License-Identifier: Apache-2.0
#include "apps/disk_fit.h"

#include <cstdio>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/disk_options.h"
#include "apps/drive_text.h"
#include "apps/request_file.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text_table.h"
#include "base/units.h"
#include "trace/output_file.h"

namespace fairlead::apps {
namespace {

constexpr std::uint64_t kMostSectors = std::uint64_t{1} << 40;

const char* standard_like(const std::string& model) {
  if (model == "mechanical") return "cheetah-15k4-mechanical";
  return model == "rate" ? "ssd-sata" : "cheetah-15k4";
}

base::Error refusal(std::string why) { return {base::ErrorKind::kInvalid, std::move(why)}; }

base::Status set_sectors(Drive& drive, std::uint64_t sectors) {
  std::visit([&](auto& shape) { shape.sectors = sectors; }, drive.shape);
  // What cannot be (more than the zones hold) is said as of a file.
  const auto checked = parse_drive(drive_text(drive), "--sectors");
  if (!checked) return base::fail(checked.error());
  return {};
}

base::Status write_drive(const FitOptions& options, const std::string& text) {
  if (options.to.empty()) return {};
  if (options.force) return base::write_file_atomic(options.to, text);
  auto file = trace::OutputFile::create(options.to);
  if (!file) {
    if (file.error().kind() != base::ErrorKind::kExists) return base::fail(file.error());
    return base::fail(std::move(file).error().advise("--force replaces it"));
  }
  file->out().append(text);
  return file->close();
}

std::string left_out_text(const disk::FitTrace& trace, bool fifo) {
  std::string out = fmt::format("{} requests have no times of dispatch and end", trace.untimed);
  if (fifo) return fmt::format("{}, {} transfers ended out of line", out, trace.crowded);
  out += fmt::format(", {} transfers had others in flight", trace.crowded);
  return trace.crowded == 0 ? out : out + " (--fifo, if the disk serves them one after the other)";
}

void show_text(const FitOptions& options, const Drive& like, const disk::FitTrace& trace,
               const disk::DriveFit& fit) {
  std::string out = about_fit(fit, options.trace, like) + "\n";
  out += fmt::format("left out: {}\n", left_out_text(trace, options.fifo));
  base::TextTable table({"", like.name, "fitted"});
  const auto before = drive_values(like.shape);
  const auto after = drive_values(fit.shape);
  for (std::size_t i = 0; i < after.size(); ++i) {
    table.add({after[i].first, before[i].second, after[i].second});
  }
  out += table.text();
  out += fmt::format("on {} transfers held out: {}\n", fit.error.count, error_text(fit.error));
  if (std::holds_alternative<disk::MechanicalShape>(fit.shape)) {
    out += fmt::format("coherence of the rotation {:.2f}{}\n", fit.coherence,
                       fit.coherence < disk::kLeastCoherence
                           ? ": the angle is not known, the times are right in distribution only"
                           : "");
  }
  std::fputs(out.c_str(), stdout);
}

void show_json(const FitOptions& options, const Drive& like, const disk::FitTrace& trace,
               const disk::DriveFit& fit, const std::string& toml) {
  std::string line;
  base::JsonWriter json(line);
  json.begin_object().member("trace", options.trace).member("model", model_name(fit.shape));
  json.member("like", like.name).member("fitted", fit.fitted);
  json.member("held_out", fit.error.count).member("untimed", trace.untimed);
  json.member("crowded", trace.crowded).member("mean_ns", fit.error.mean_ns);
  json.member("rms_ns", fit.error.rms_ns).member("relative", fit.error.relative);
  json.member("demerit", fit.error.demerit).member("coherence", fit.coherence);
  json.member("toml", toml).end_object();
  std::puts(line.c_str());
}

base::Status fit_and_tell(const FitOptions& options) {
  FL_TRY(const disk::RequestTrace trace, read_requests(options.trace));
  FL_TRY(const Drive like, drive_like(options, trace));
  const disk::FitTrace timed =
      disk::fit_trace(trace, options.fifo ? disk::FitQueue::kInLine : disk::FitQueue::kAlone);
  auto fit = disk::fit_drive(timed, like.shape);
  if (!fit) return base::fail(std::move(fit).error().at(options.trace));
  const std::string toml =
      drive_text({.name = {},
                  .about = about_fit(*fit, options.trace, like) + "; " + error_text(fit->error),
                  .shape = fit->shape});
  FL_TRY_STATUS(write_drive(options, toml));
  if (options.output == "json") {
    show_json(options, like, timed, *fit, toml);
  } else {
    show_text(options, like, timed, *fit);
  }
  return {};
}

}  // namespace

void add_model_options(Command command, FitOptions& options) {
  command.add_option("trace", options.trace, "CSV, blktrace's files or a recording")
      .required()
      .check(not_empty())
      .type_name("TRACE");
  command.add_option("--model", options.model, "of what is fitted")
      .check(one_of({"linear", "mechanical", "rate"}))
      .type_name("linear|mechanical|rate")
      .capture_default_str();
  command
      .add_option("--like", options.like,
                  "a drive of that model, for all that the trace does not tell [linear: "
                  "cheetah-15k4, mechanical: cheetah-15k4-mechanical, rate: ssd-sata]")
      .check(not_empty())
      .type_name("NAME|FILE");
  const auto parse = [](const std::string& text) {
    return base::parse_unsigned(text, 1, kMostSectors);
  };
  command
      .add_option_function(
          "--sectors", [&, parse](const std::string& text) { options.sectors = *parse(text); },
          "of the drive, if not those of --like")
      .check(accepts(parse))
      .type_name("N");
}

void add_fit_options(Command command, FitOptions& options) {
  add_model_options(command, options);
  command.add_flag("--fifo", options.fifo,
                   "the disk served one after the other: use those with others in flight, too");
  command.add_option("--to", options.to, "the drive, for --drive and --throttle")
      .check(not_empty())
      .type_name("FILE");
  command.add_flag("--force", options.force, "replace the file of --to");
  add_output_option(command, options.output);
}

base::Result<Drive> drive_like(const FitOptions& options, const disk::RequestTrace& trace) {
  const std::string name = options.like.empty() ? standard_like(options.model) : options.like;
  FL_TRY(Drive like, find_drive(name));
  if (options.model != model_name(like.shape)) {
    return base::fail(refusal(fmt::format("--like: {} is a {} drive, the --model is {}", name,
                                          model_name(like.shape), options.model)));
  }
  if (options.sectors) FL_TRY_STATUS(set_sectors(like, *options.sectors));
  FL_TRY_STATUS(disk::fits(trace, disk::sectors_of(like.shape), "--like " + name));
  return like;
}

std::string about_fit(const disk::DriveFit& fit, const std::string& trace, const Drive& like) {
  return fmt::format("{}, fitted to {} transfers of {}, like {}", model_name(fit.shape), fit.fitted,
                     trace, like.name);
}

std::string error_text(const disk::FitError& error) {
  return fmt::format("mean {}, RMS error {}, demerit {:.2f} %, mean relative error {:.2f} %",
                     base::format_ns(static_cast<std::int64_t>(error.mean_ns)),
                     base::format_ns(static_cast<std::int64_t>(error.rms_ns)), 100 * error.demerit,
                     100 * error.relative);
}

int fit_disk(const FitOptions& options) {
  if (const auto done = fit_and_tell(options); !done) return fail(kDisk, done.error());
  return kDone;
}

}  // namespace fairlead::apps
