// SPDX-License-Identifier: Apache-2.0
//
// How a consumer finds a channel: a file in the runtime folder, relay/NAME, of one line,
//
//     PID DESCRIPTOR BYTES ID
//
// by which it opens the memory through /proc/PID/fd/DESCRIPTOR: as the same user, or as root.  Each
// makes the file of a dead producer go away; an id that does not fit is somebody else's memory.
//
// Thread-safety: values.  Ownership: an Announcement owns its file, and removes it.
// Errors: kExists if a living producer has the name, kNotFound if none has, kDenied for another
// user's, kInvalid for a bad name, kCorrupt for a file or memory that is none of ours.  The first
// two are counted (presence.h).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/runtime_dir.h"
#include "relay/consumer.h"
#include "relay/producer.h"

namespace fairlead::relay {

class Announcement {
 public:
  static base::Result<Announcement> make(const daemon::RuntimeDir& folder, const std::string& name,
                                         const Producer& producer);
  Announcement(Announcement&& other) noexcept;
  Announcement& operator=(Announcement&& other) noexcept;
  ~Announcement();

 private:
  Announcement(std::string path, std::string line) noexcept;
  void withdraw() noexcept;

  std::string path_;
  std::string line_;  // what stands in it, as long as it is ours
  pid_t owner_ = 0;   // a forked child withdraws nothing
};

base::Result<Consumer> connect_by_name(const daemon::RuntimeDir& folder, const std::string& name);

// Of living producers, in order of the alphabet.
base::Result<std::vector<std::string>> announced(const daemon::RuntimeDir& folder);

}  // namespace fairlead::relay
