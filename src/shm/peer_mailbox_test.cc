// SPDX-License-Identifier: Apache-2.0
#include "shm/peer_mailbox.h"

#include <poll.h>

#include <gtest/gtest.h>

namespace fairlead::shm {
namespace {

using Kind = PeerMailbox::Kind;

bool readable(const PeerMailbox& mailbox) {
  pollfd work{mailbox.fd(), POLLIN, 0};
  return ::poll(&work, 1, 0) == 1;
}

TEST(PeerMailbox, OrdersComeInSequenceAndOnce) {
  PeerMailbox mailbox(*PeerMailbox::make_event());
  EXPECT_FALSE(readable(mailbox));
  for (int i = 0; i < 1000; ++i) {
    mailbox.put({Kind::kDetach, 7, {}});
    mailbox.put({Kind::kDetach, 8, {}});
    mailbox.put({Kind::kReport, 7, "{}"});
    mailbox.put({Kind::kStop, 0, {}});
  }
  EXPECT_TRUE(readable(mailbox));
  const auto orders = mailbox.take();
  ASSERT_EQ(orders.size(), 4U) << "what waits is bounded";
  EXPECT_EQ(orders[1].target, 8U);
  EXPECT_EQ(orders[2].text, "{}");
  EXPECT_EQ(orders[3].kind, Kind::kStop);
  EXPECT_FALSE(readable(mailbox));
  EXPECT_TRUE(mailbox.take().empty());
}

}  // namespace
}  // namespace fairlead::shm
