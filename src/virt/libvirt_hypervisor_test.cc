// SPDX-License-Identifier: Apache-2.0
//
// Against libvirt's own test driver: plumbing, limits and error paths.  Its numbers are made up, so
// nothing is decided by them here.
#include "virt/libvirt_hypervisor.h"

#include <gtest/gtest.h>

namespace fairlead::virt {
namespace {

using base::ErrorKind;
using manage::CpuSet;

std::unique_ptr<LibvirtHypervisor> open_test() {
  auto hypervisor = LibvirtHypervisor::open({.uri = "test:///default"});
  EXPECT_TRUE(hypervisor) << hypervisor.error().message();
  return hypervisor ? *std::move(hypervisor) : nullptr;
}

TEST(LibvirtHypervisor, SeesTheTestDriversGuest) {
  const auto hypervisor = open_test();
  ASSERT_NE(hypervisor, nullptr);
  const auto sample = hypervisor->sample();
  ASSERT_TRUE(sample) << sample.error().message();
  ASSERT_EQ(sample->guests.size(), 1U);
  const manage::GuestSample& guest = sample->guests[0];
  EXPECT_EQ(guest.name, "test");
  EXPECT_EQ(guest.uuid.size(), 36U);
  EXPECT_EQ(guest.state, manage::GuestState::kRunning);
  ASSERT_EQ(guest.vcpus.size(), 2U);
  EXPECT_FALSE(guest.vcpus[0].allowed.empty());
  ASSERT_TRUE(guest.memory);
  EXPECT_EQ(guest.memory->maximum_bytes, std::uint64_t{8} << 30);
  EXPECT_FALSE(sample->pcpus.empty());
  EXPECT_GT(sample->memory.total_bytes, sample->memory.available_bytes);
}

TEST(LibvirtHypervisor, PinsAreSeenInTheNextSample) {
  const auto hypervisor = open_test();
  ASSERT_NE(hypervisor, nullptr);
  const std::string uuid = hypervisor->sample()->guests[0].uuid;
  ASSERT_TRUE(hypervisor->pin(uuid, 1, CpuSet::of({1})));
  const auto sample = hypervisor->sample();
  EXPECT_EQ(sample->guests[0].vcpus[1].allowed, CpuSet::of({1}));
  EXPECT_NE(sample->guests[0].vcpus[0].allowed, CpuSet::of({1}));
}

TEST(LibvirtHypervisor, SizesAreSeenAndBounded) {
  const auto hypervisor = open_test();
  ASSERT_NE(hypervisor, nullptr);
  const std::string uuid = hypervisor->sample()->guests[0].uuid;
  ASSERT_TRUE(hypervisor->set_memory(uuid, std::uint64_t{1} << 30));
  EXPECT_EQ(hypervisor->sample()->guests[0].memory->current_bytes, std::uint64_t{1} << 30);
  EXPECT_FALSE(hypervisor->set_memory(uuid, std::uint64_t{64} << 30)) << "above its maximum";
  EXPECT_FALSE(hypervisor->pin(uuid, 99, CpuSet::of({0})));
}

TEST(LibvirtHypervisor, AGuestThatIsGoneIsNotFound) {
  const auto hypervisor = open_test();
  ASSERT_NE(hypervisor, nullptr);
  const std::string nobody = "00000000-0000-0000-0000-000000000001";
  EXPECT_EQ(hypervisor->pin(nobody, 0, CpuSet::of({0})).error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(hypervisor->set_memory(nobody, 1 << 20).error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(hypervisor->set_stats_period(nobody, 1).error().kind(), ErrorKind::kNotFound);
}

TEST(LibvirtHypervisor, AReadOnlyConnectionSeesAndChangesNothing) {
  auto hypervisor = LibvirtHypervisor::open({.uri = "test:///default", .access = Access::kRead});
  ASSERT_TRUE(hypervisor) << hypervisor.error().message();
  const auto sample = (*hypervisor)->sample();
  ASSERT_TRUE(sample) << sample.error().message();
  ASSERT_EQ(sample->guests.size(), 1U);
  const std::string uuid = sample->guests[0].uuid;
  EXPECT_EQ((*hypervisor)->pin(uuid, 0, CpuSet::of({0})).error().kind(), ErrorKind::kDenied);
  EXPECT_EQ((*hypervisor)->set_memory(uuid, 1 << 20).error().kind(), ErrorKind::kDenied);
  EXPECT_EQ((*hypervisor)->set_stats_period(uuid, 1).error().kind(), ErrorKind::kDenied);
}

TEST(LibvirtHypervisor, RefusesOtherHostsAndSaysWhoDoesNotAnswer) {
  for (const char* uri : {"qemu+ssh://host/system", "qemu://host/system", "test+tcp:///default"}) {
    EXPECT_EQ(LibvirtHypervisor::open({.uri = uri}).error().kind(), ErrorKind::kInvalid) << uri;
  }
  const auto none = LibvirtHypervisor::open({.uri = "qemu+unix:///system?socket=/nonexistent/s"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind(), ErrorKind::kClosed);
  EXPECT_TRUE(none.error().message().contains("/nonexistent/s")) << none.error().message();
}

}  // namespace
}  // namespace fairlead::virt
