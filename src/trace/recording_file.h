// SPDX-License-Identifier: Apache-2.0
//
// RecordingFile: where a recording goes: a file of its own, with one writer.
//
// What stood there stays until the first write(), and only an older recording is replaced at all.
//
// Thread-safety: none.  Ownership: the descriptor, and a lock on the file (flock); a file that this
// one has made is removed again if nothing was written to it.
// Errors: of open(): kBusy while somebody else records into it, kExists for a file that is no
// recording, kInvalid for a pipe, a folder and the like.
#pragma once

#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/result.h"

namespace fairlead::trace {

class RecordingFile {
 public:
  static base::Result<RecordingFile> open(const std::string& path);
  RecordingFile(RecordingFile&& other) noexcept;
  RecordingFile& operator=(RecordingFile&&) = delete;
  ~RecordingFile();

  base::Status write(std::string_view bytes);
  // Half a recording is none: removes it.
  void discard() noexcept;

 private:
  RecordingFile(std::string path, base::Fd fd, bool made) noexcept;
  base::Status make_sure_of_it() const;
  base::Status check_content() const;

  std::string path_;  // empty: moved from, or discarded
  base::Fd fd_;
  bool made_;  // by us
  bool written_ = false;
};

}  // namespace fairlead::trace
