// SPDX-License-Identifier: Apache-2.0
//
// idle_clients SOCKET COUNT: connects COUNT times, reads one sector each, says {"connected": N} and
// then does nothing until its standard input ends.
#include <unistd.h>

#include <array>
#include <memory>
#include <vector>

#include "apps/command_line.h"
#include "block/client.h"
#include "report.h"

int main(int argc, char** argv) {
  using namespace fairlead;
  apps::CommandLine app("connect to a service and stay silent", "idle_clients");
  std::string socket;
  std::uint32_t count = 100;
  app.add_option("socket", socket).required();
  app.add_option("count", count).required().check(apps::within(1, 1000, apps::InHelp::kYes));
  if (const auto ended = app.parse_or_tell(argc, argv)) return *ended;

  std::vector<std::unique_ptr<block::Client>> clients;
  for (std::uint32_t i = 0; i < count; ++i) {
    auto client = block::Client::connect({.socket_path = socket, .name = "idle", .slots = 1});
    if (!client) bench::die("connect: " + client.error().message());
    std::array<std::byte, 512> sector;
    const auto status = (*client)->read(i, sector);
    if (status != block::ReadStatus::kOk) bench::die(std::string("read: ") + explain(status));
    clients.push_back(*std::move(client));
  }
  std::printf("{\"connected\":%u}\n", count);
  std::fflush(stdout);
  char byte = 0;
  while (::read(STDIN_FILENO, &byte, 1) > 0) {
  }
  return 0;
}
