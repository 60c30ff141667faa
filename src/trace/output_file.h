// SPDX-License-Identifier: Apache-2.0
//
// Output in large pieces: to a descriptor, or to a new file of its own.
//
//     FL_TRY(OutputFile file, OutputFile::create(path));
//     file.out().append(bytes);            // as often as there is something
//     FL_TRY_STATUS(file.close());         // says whether all of it is there
//
// Thread-safety: none.  Ownership: an OutputFile that was not closed with success removes its file;
// a BufferedOutput's descriptor is the caller's.
// Errors: kExists if there is such a file already; the first that a write met, told at the end.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::trace {

class BufferedOutput {
 public:
  explicit BufferedOutput(int fd) noexcept : fd_(fd) {}

  // After an error nothing more is written.
  void append(std::string_view bytes) {
    buffer_ += bytes;
    if (buffer_.size() >= kPieceBytes) write();
  }
  base::Status flush() {
    write();
    return status_;
  }

 private:
  static constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

  void write();

  int fd_;
  std::string buffer_;
  base::Status status_;
};

class OutputFile {
 public:
  static base::Result<OutputFile> create(const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  BufferedOutput& out() noexcept { return out_; }
  base::Status close();

 private:
  OutputFile(base::Fd fd, std::string path)
      : fd_(std::move(fd)), out_(fd_.get()), path_(std::move(path)) {}

  base::Fd fd_;
  BufferedOutput out_;
  std::string path_;  // empty: there is nothing to remove
};

}  // namespace fairlead::trace
