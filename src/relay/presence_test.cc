// SPDX-License-Identifier: Apache-2.0
#include "relay/presence.h"

#include <fcntl.h>

#include <utility>

#include <gtest/gtest.h>

#include "shm/segment.h"

namespace fairlead::relay {
namespace {

using base::ErrorKind;

TEST(RelayPresence, ASideIsTakenOnceUntilItIsGivenBack) {
  const auto memory = shm::Segment::create("test", 4096);
  ASSERT_TRUE(memory);
  auto consumer = take_side(memory->fd(), Side::kConsumer);
  ASSERT_TRUE(consumer) << consumer.error().message();
  EXPECT_EQ(::fcntl(consumer->get(), F_GETFD), FD_CLOEXEC) << "no program that is started has it";
  EXPECT_FALSE(is_taken(*consumer, Side::kProducer));
  auto producer = take_side(memory->fd(), Side::kProducer);
  ASSERT_TRUE(producer) << "another place";
  EXPECT_TRUE(is_taken(*consumer, Side::kProducer));
  EXPECT_TRUE(is_taken(*producer, Side::kConsumer));

  const std::uint64_t before = refused_calls();
  const auto second = take_side(memory->fd(), Side::kConsumer);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::kBusy);
  EXPECT_EQ(second.error().message(), "this relay channel has a consumer already");
  EXPECT_EQ(refused_calls(), before + 1);

  producer->reset();
  EXPECT_FALSE(is_taken(*consumer, Side::kProducer));
  consumer->reset();
  EXPECT_TRUE(take_side(memory->fd(), Side::kConsumer));
}

TEST(RelayPresence, WhatIsNoMemoryHasNoSides) {
  const auto side = take_side(-1, Side::kProducer);
  ASSERT_FALSE(side);
  EXPECT_NE(side.error().kind(), ErrorKind::kBusy);
}

}  // namespace
}  // namespace fairlead::relay
