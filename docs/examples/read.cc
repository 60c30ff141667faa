// SPDX-License-Identifier: Apache-2.0
//
// Reads one sector from a running service:  read SOCKET SECTOR
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "block/client.h"

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: read SOCKET SECTOR\n", stderr), 2;
  auto client = fairlead::block::Client::connect({.socket_path = argv[1]});
  if (!client) return std::fprintf(stderr, "%s\n", client.error().message().c_str()), 1;
  std::array<std::byte, 512> sector;
  const auto status = (*client)->read(std::strtoull(argv[2], nullptr, 10), sector);
  if (status != fairlead::block::ReadStatus::kOk) {
    return std::fprintf(stderr, "%s\n", fairlead::block::explain(status)), 1;
  }
  std::fwrite(sector.data(), 1, sector.size(), stdout);
  return 0;
}
