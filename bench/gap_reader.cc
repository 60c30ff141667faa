// SPDX-License-Identifier: Apache-2.0
//
// gap_reader SOCKET: reads sector after sector, blocking; says {"reading": true} after the first
// answer, and whenever the service was replaced, when the first answer of the new one arrived, as
// {"reconnects": N, "completed_ns": CLOCK_MONOTONIC}.  Ends when its standard input does, or with
// status 1 when a read fails.
#include <poll.h>
#include <unistd.h>

#include <array>

#include "apps/command_line.h"
#include "base/clock.h"
#include "block/client.h"
#include "report.h"

namespace {

bool input_ended() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  char byte = 0;
  return ::poll(&input, 1, 0) > 0 && ::read(STDIN_FILENO, &byte, 1) <= 0;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace fairlead;
  apps::CommandLine app("read without pause and tell when a restarted service answers",
                        "gap_reader");
  std::string socket;
  app.add_option("socket", socket).required();
  if (const auto ended = app.parse_or_tell(argc, argv)) return *ended;

  auto client = block::Client::connect({.socket_path = socket, .name = "gap", .slots = 1});
  if (!client) bench::die("connect: " + client.error().message());
  const auto geometry = (*client)->geometry();
  if (!geometry) bench::die(geometry.error().message());
  const std::uint64_t sectors = geometry->last_sector - geometry->first_sector + 1;
  std::array<std::byte, 512> bytes;
  std::uint64_t reconnects = 0;
  for (std::uint64_t n = 0; n % 16 != 0 || !input_ended(); ++n) {
    const auto status = (*client)->read(geometry->first_sector + n * 7919 % sectors, bytes);
    if (status != block::ReadStatus::kOk) bench::die(std::string("read: ") + explain(status));
    // The library counts a reconnection before it lets the repeated call go on.
    if (n == 0) {
      std::puts("{\"reading\":true}");
    } else if (const std::uint64_t now = (*client)->reconnects(); now != reconnects) {
      reconnects = now;
      std::printf("{\"reconnects\":%llu,\"completed_ns\":%lld}\n",
                  static_cast<unsigned long long>(now),
                  static_cast<long long>(base::monotonic_ns()));
    } else {
      continue;
    }
    std::fflush(stdout);
  }
  return 0;
}
