// SPDX-License-Identifier: Apache-2.0
//
// A libvirt daemon of our own, where no service manager runs one: in a container, or for a test.
//
//     FOLDER/etc         libvirtd.conf, qemu.conf: no cgroups, no security driver, QEMU as root
//     FOLDER/process, libvirtd.log  which process it is, and what it says
//
// It runs in a mount namespace of its own, where FOLDER/etc lies over /etc/libvirt, so nothing of
// the system's configuration is read or changed.  With Place::kPrivate its sockets, state and logs
// are in FOLDER too, and several can run side by side; with kSystem it serves qemu:///system.
//
// Thread-safety: none.  Ownership: the daemon outlives its starter; stop() ends exactly that
// process, checked by pid and start time.
// Errors: kExists if one serves there, kDenied without the right to mount (root), kNotFound if
// libvirtd is not installed, kTimeout with the log's last line.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace fairlead::guest {

class Libvirtd {
 public:
  enum class Place : std::uint8_t { kSystem, kPrivate };

  // For kPrivate: its path goes into a configuration, which knows no escapes, and into sockets'
  // addresses.
  static base::Status check_folder(const std::string& folder);

  Libvirtd(std::string folder, Place place) : folder_(std::move(folder)), place_(place) {}

  // Returns when it answers.
  base::Status start() const;
  // Guests go on running; true if one was running.
  base::Result<bool> stop() const;
  bool running() const;
  std::string uri() const;

 private:
  base::Status write_configuration() const;
  base::Status await_answer(int process) const;

  std::string folder_;  // absolute
  Place place_;
};

// Whether a daemon answers at the URI; the error says how to start one.
base::Status libvirt_answers(const std::string& uri);

}  // namespace fairlead::guest
