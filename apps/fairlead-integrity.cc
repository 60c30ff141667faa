// SPDX-License-Identifier: Apache-2.0
//
// fairlead integrity: does what a client was given equal the image?
#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "apps/command.h"
#include "base/json.h"
#include "base/standard_streams.h"
#include "block/integrity.h"

namespace {

using namespace fairlead;

constexpr const char* kProgram = "fairlead-integrity";

void print(const block::IntegrityResult& result, bool json_wanted) {
  if (json_wanted) {
    std::string out;
    base::JsonWriter json(out);
    json.begin_object().member("records", result.records).member("matched", result.matched);
    if (result.first_mismatch) {
      json.key("first_mismatch").begin_object();
      json.member("record", result.first_mismatch->record)
          .member("sector", result.first_mismatch->sector)
          .member("byte", result.first_mismatch->byte)
          .end_object();
    }
    json.end_object();
    std::puts(out.c_str());
    return;
  }
  std::string text =
      fmt::format("{} of {} records match the image\n", result.matched, result.records);
  if (result.records == 0) text += "nothing was compared: the files are empty\n";
  if (result.first_mismatch) {
    text += fmt::format("first mismatch: record {} (sector {}), byte {}\n",
                        result.first_mismatch->record, result.first_mismatch->sector,
                        result.first_mismatch->byte);
  }
  std::fputs(text.c_str(), stdout);
}

}  // namespace

int main(int argc, char** argv) {
  fairlead::base::hold_standard_streams();
  apps::CommandLine app("compare what a client read with the image", kProgram);
  std::vector<std::string> paths;
  std::string output = "text";
  app.add_option("files", paths, "sectors.PID, read.PID and the image, in any order")
      .required()
      .expected(3)
      .option_text("FILE FILE FILE");
  apps::add_output_option(app, output);
  return apps::run(app, argc, argv, [&] {
    const auto files = block::sort_out(paths);
    if (!files) return apps::fail(kProgram, files.error());
    const auto result = block::compare(*files);
    if (!result) return apps::fail(kProgram, result.error());
    print(*result, output == "json");
    return result->good() ? apps::kDone : apps::kFailed;
  });
}
