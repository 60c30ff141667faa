// SPDX-License-Identifier: Apache-2.0
#include "block/service_stats.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fairlead/abi/control.h"

namespace fairlead::block {
namespace {

TEST(ServiceReport, OfAnySizeFitsOneMessage) {
  ServiceStats stats;
  stats.image = std::string(4000, '\x01');  // six bytes each, escaped
  ClientStats client;
  client.identity.number = ~0U;
  client.identity.name = std::string(31, '\x01');
  client.counts = {~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL};
  stats.clients.assign(4096, client);
  const std::string text = report(stats);
  EXPECT_LE(text.size() + sizeof(abi::ControlHeader), abi::kMaxReportBytes);
  const auto data = nlohmann::json::parse(text);
  EXPECT_EQ(data["clients_connected"], 4096);
  EXPECT_GT(data["clients"].size(), 100u);
  stats.clients.resize(100);
  EXPECT_EQ(nlohmann::json::parse(report(stats))["clients"].size(), 100u);
}

}  // namespace
}  // namespace fairlead::block
