// SPDX-License-Identifier: Apache-2.0
#include "trace/blktrace_file.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "trace/blktrace_writer.h"

namespace fairlead::trace {
namespace {

namespace fs = std::filesystem;

std::string blktrace_path(const std::string& prefix, std::size_t number) {
  return fmt::format("{}.blktrace.{}", prefix, number);
}

// The files of a set, by number.  Processors that were offline leave gaps.
base::Result<std::vector<std::string>> blktrace_set(const std::string& prefix) {
  const fs::path path(prefix);
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  const std::string stem = path.filename().string() + ".blktrace.";
  std::vector<std::size_t> numbers;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(stem)) continue;
    std::size_t number = 0;
    const char* digits = name.data() + stem.size();
    const char* last = name.data() + name.size();
    const auto [end, wrong] = std::from_chars(digits, last, number);
    // "01" is none of the set: there would be two files of one number.
    if (wrong == std::errc{} && end == last && name == stem + std::to_string(number)) {
      numbers.push_back(number);
    }
  }
  if (error) return base::fail_errno(error.value(), "list " + folder.string());
  std::ranges::sort(numbers);
  std::vector<std::string> files;
  files.reserve(numbers.size());
  for (const std::size_t number : numbers) files.push_back(blktrace_path(prefix, number));
  return files;
}

base::Status write_part(const Trace& trace, const BlktraceLayout& layout, std::size_t number,
                        const std::string& path) {
  FL_TRY(OutputFile file, OutputFile::create(path));
  write_blktrace_part(trace, layout, number, file.out());
  return file.close();
}

base::Result<std::vector<std::string>> files_to_read(const std::string& prefix) {
  std::error_code error;
  if (fs::exists(prefix, error) && !fs::is_directory(prefix, error)) {
    return std::vector<std::string>{prefix};
  }
  FL_TRY(auto files, blktrace_set(prefix));
  if (files.empty()) {
    return base::fail(base::ErrorKind::kNotFound,
                      fmt::format("there is neither {} nor {}", prefix, blktrace_path(prefix, 0)));
  }
  return files;
}

}  // namespace

base::Status write_blktrace(const Trace& trace, const std::string& prefix) {
  FL_TRY(const BlktraceLayout layout, BlktraceLayout::of(trace));
  FL_TRY(const auto old, blktrace_set(prefix));
  if (!old.empty()) {
    return base::fail(base::Error(base::ErrorKind::kExists, "there is a file " + old.front())
                          .advise("remove that set or choose another name"));
  }
  for (std::size_t i = 0; i < layout.parts().size(); ++i) {
    if (auto written = write_part(trace, layout, i, blktrace_path(prefix, i)); !written) {
      while (i-- > 0) ::unlink(blktrace_path(prefix, i).c_str());
      return written;
    }
  }
  return {};
}

base::Result<Trace> read_blktrace(const std::string& prefix) {
  FL_TRY(const auto paths, files_to_read(prefix));
  std::vector<BlktraceBytes> files;
  std::size_t room = kMostBlktraceBytes;
  for (const std::string& path : paths) {
    FL_TRY(std::string bytes, base::read_file(path, room));
    room -= bytes.size();
    files.push_back({path, std::move(bytes)});
  }
  if (room == kMostBlktraceBytes) {
    return base::fail(base::ErrorKind::kCorrupt, paths.front() + " is empty: nothing was traced");
  }
  return parse_blktrace(files, fs::path(prefix).filename().string());
}

}  // namespace fairlead::trace
