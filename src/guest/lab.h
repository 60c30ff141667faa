// SPDX-License-Identifier: Apache-2.0
//
// Lab: small real guests under libvirt, to try the managers on.
//
//     RUNTIME/lab/NAME.agent      socket of the guest's agent
//     RUNTIME/lab/NAME.run        socket of the port for commands
//     RUNTIME/lab/NAME.port       socket of the port by which it can be traced without a card
//     RUNTIME/lab/NAME.console    what its serial console said
//     /dev/shm/fairlead-…-NAME    memory of the guest's ivshmem card, where it has one
//
// All that is known of a lab stands in libvirt: its domains are transient and bear a mark in their
// metadata.  So a lab outlives this process, and down() finds what a killed one left.  A domain
// without the mark is never touched, whatever its name.
//
// Thread-safety: none; up() and list() ask the guests from threads of their own.
// Errors: kNotFound if no libvirt daemon answers (says how to start one) or no guest matches,
// kExists if a domain of that name is there, kTimeout if a guest does not boot (its console's last
// line is in the message).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "guest/agent_protocol.h"
#include "guest/domain_xml.h"
#include "guest/image.h"

namespace fairlead::guest {

struct LabOptions {
  std::string uri = "qemu:///system";
  std::string folder;  // RUNTIME/lab
};

struct UpOptions {
  std::string prefix = "aos_";  // names are prefix1, prefix2, …
  std::uint32_t count = 8;
  std::uint32_t vcpus = 1;
  std::uint64_t memory_mib = 512;
  std::uint64_t max_mib = 2048;
  std::vector<std::uint32_t> pins;  // none; one for all; or one for each
  Accel accel = Accel::kTcg;
  std::string disk;               // a file or block device that all read; empty: none
  std::uint64_t relay_bytes = 0;  // of each guest's ivshmem card; 0: none
  std::int64_t timeout_ns = 0;    // for all to boot
  int stop_fd = -1;               // readable: give up
};

using OnStep = std::function<void(std::string_view)>;

struct LabGuest {
  std::string name;
  std::string uuid;
  std::string state;  // running, paused, …
  Accel accel = Accel::kTcg;
  std::uint32_t vcpus = 0;
  std::uint64_t memory_kib = 0;  // of its balloon, as libvirt knows it
  std::uint64_t max_kib = 0;
  std::string pins;  // affinity of its vCPUs: "0", "0-1", "0 1"
  LabMark mark;
  std::optional<Report> report;  // none: its agent does not answer
};

class Lab {
 public:
  static base::Result<Lab> open(LabOptions options);
  Lab(Lab&&) noexcept;
  Lab& operator=(Lab&&) = delete;
  ~Lab();

  // Starts the guests and returns when each agent has answered and each balloon has left its guest
  // with the memory asked for.  On error those that run stay, to be looked at: down() takes them.
  // Given up, it has ended those that it started: kClosed says how many.
  base::Status up(const UpOptions& options, const Image& image, const OnStep& on_step);

  // Guests whose name is `which`, or all whose name begins with `prefix` if `which` is "all".
  base::Result<std::vector<LabGuest>> list(const std::string& which, const std::string& prefix,
                                           bool ask_agents);

  // Ends them and removes their files; the number of guests that ran.
  base::Result<std::uint32_t> down(const std::string& prefix);

 private:
  struct State;
  explicit Lab(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

// Sends one command to the agents of all of them at once; the first error, if any, names its guest.
base::Status tell(const std::vector<LabGuest>& guests, const std::string& words,
                  std::int64_t timeout_ns);

// The last line of a console that says something; for errors.
std::string last_console_line(const std::string& path);

}  // namespace fairlead::guest
