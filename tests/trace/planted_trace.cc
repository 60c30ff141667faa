// SPDX-License-Identifier: Apache-2.0
//
// planted_trace: traces of which everything is known, in every format.  For tests only.
//
//   planted_trace write FOLDER REQUESTS LOSS [guest]   FOLDER/t.blktrace.N, ctf, chrome.json
//   planted_trace read PATH [same REQUESTS LOSS [guest]]   what our reader finds, as one JSON line;
//                                                      1 if it is not what was planted
// LOSS: none, middle, tail, all.
#include <fcntl.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/fd.h"
#include "base/json.h"
#include "trace/blktrace_file.h"
#include "trace/chrome_json.h"
#include "trace/ctf_writer.h"
#include "trace/testing_difference.h"
#include "trace/testing_planted.h"

namespace {

using namespace fairlead;
using namespace fairlead::trace;
using Words = std::vector<std::string>;

Trace planted(const Words& words, std::size_t at) {
  PlantOptions options;
  options.requests = static_cast<unsigned>(std::atoi(words.at(at).c_str()));
  options.loss = words.at(at + 1);
  options.guest = words.size() > at + 2;
  return Planter(options).plant();
}

base::Status write(const std::string& folder, const Trace& trace) {
  FL_TRY_STATUS(write_blktrace(trace, folder + "/t"));
  FL_TRY_STATUS(write_ctf(trace, folder + "/ctf"));
  const std::string path = folder + "/chrome.json";
  const base::Fd json(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  return write_chrome_json(trace, json.get());
}

base::Status read(const Words& words) {
  FL_TRY(const Trace trace, read_blktrace(words.at(2)));
  if (words.size() > 3) {
    const std::string found = difference(planted(words, 4), trace);
    if (!found.empty()) return base::fail(base::ErrorKind::kCorrupt, found);
  }
  std::string line;
  base::JsonWriter(line)
      .begin_object()
      .member("events", trace.events.size())
      .member("lost", trace.lost())
      .member("cut", trace.cut)
      .end_object();
  fmt::print("{}\n", line);
  return {};
}

base::Status run(const Words& words) {
  return words.at(1) == "write" ? write(words.at(2), planted(words, 3)) : read(words);
}

}  // namespace

int main(int argc, char** argv) {
  const auto done = run(Words(argv, argv + argc));
  if (!done) std::fprintf(stderr, "planted_trace: %s\n", done.error().message().c_str());
  return done ? 0 : 1;
}
