// SPDX-License-Identifier: Apache-2.0
#include "virt/host_files.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace fairlead::virt {
namespace {

TEST(ParseStat, CountsAllButIdleWaitingAndNiced) {
  const auto pcpus = parse_stat(
      "cpu  9 9 9 9 9 9 9 9 9 9\n"
      "cpu1 1 5000 4 1000 2000 8 16 32 1 2\n"
      "cpu0 0 0 0 7 0 0 0 0\n"
      "intr 5 6\n",
      100);
  ASSERT_TRUE(pcpus) << pcpus.error().message();
  ASSERT_EQ(pcpus->size(), 2U);
  EXPECT_EQ((*pcpus)[0].cpu, 0U);
  EXPECT_EQ((*pcpus)[0].busy_ns, 0U);
  EXPECT_EQ((*pcpus)[1].busy_ns, 63U * 10'000'000) << "a niced guest counts, others do not";
}

TEST(ParseStat, RefusesOtherForms) {
  for (const char* text : {"", "cpu  1 2 3 4\n", "cpu0\n", "cpu0 1 2\n", "cpu0 1 2 x 4\n",
                           "cpuX 1 2 3 4 5\n", "cpu99999 1 2 3 4 5\n", "cpu0 1 2 -3 4\n"}) {
    EXPECT_FALSE(parse_stat(text, 100)) << text;
  }
}

TEST(ParseMeminfo, ReadsTotalAndAvailable) {
  const auto memory = parse_meminfo("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:\t400 kB\n");
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->total_bytes, 1000U * 1024);
  EXPECT_EQ(memory->available_bytes, 400U * 1024);
  EXPECT_FALSE(parse_meminfo("MemAvailable: 400 kB\n"));
  EXPECT_FALSE(parse_meminfo("MemTotal: 1 kB\nMemAvailable: 2 kB\n"));
}

class Root {
 public:
  Root() : path_(testing::TempDir() + "/host_files_" + std::to_string(::getpid()) + "/") {}
  ~Root() { std::filesystem::remove_all(path_); }
  void put(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path_ + name).parent_path());
    std::ofstream(path_ + name) << text;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(HostFiles, KnowsSiblingsCachesNodesAndNewProcessors) {
  const Root root;
  root.put("proc/stat", "cpu0 1 0 0 1 0\ncpu4 1 0 0 1 0\n");
  const std::string folder = "sys/devices/system/cpu/";
  root.put(folder + "cpu0/topology/thread_siblings_list", "0,4\n");
  root.put(folder + "cpu4/topology/thread_siblings_list", "0,4\n");
  root.put(folder + "cpu5/topology/thread_siblings_list", "5\n");
  root.put(folder + "cpu5/cache/index3/shared_cpu_list", "5-7\n");
  std::filesystem::create_directories(root.path() + folder + "cpu5/node1");
  HostFiles host(root.path());
  auto pcpus = host.processors();
  ASSERT_TRUE(pcpus) << pcpus.error().message();
  EXPECT_EQ((*pcpus)[0].core, (*pcpus)[1].core);
  root.put("proc/stat", "cpu0 1 0 0 1 0\ncpu5 1 0 0 1 0\n");
  pcpus = host.processors();
  EXPECT_EQ((*pcpus)[1].core, 5U);
  EXPECT_EQ((*pcpus)[1].cache, 5U);
  EXPECT_EQ((*pcpus)[1].node, 1U);
}

TEST(HostFiles, ReadsThisHost) {
  HostFiles host;
  EXPECT_TRUE(host.processors());
  EXPECT_TRUE(host.memory());
  const auto missing = HostFiles("/nonexistent/").processors();
  ASSERT_FALSE(missing);
  EXPECT_TRUE(missing.error().message().contains("/nonexistent/proc/stat"));
}

}  // namespace
}  // namespace fairlead::virt
