// SPDX-License-Identifier: Apache-2.0
#include "trace/blktrace_file.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/testing_full_disk.h"
#include "trace/blktrace_format.h"
#include "trace/testing_difference.h"
#include "trace/testing_planted.h"

namespace fairlead::trace {
namespace {

using abi::BlockAct;

class BlktraceFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "fl-blktrace-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    prefix_ = folder_ + "/t";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(unsigned number) const {
    return prefix_ + ".blktrace." + std::to_string(number);
  }

  Trace written_and_read(const Trace& trace) {
    const auto written = write_blktrace(trace, prefix_);
    EXPECT_TRUE(written) << written.error().message();
    auto read = read_blktrace(prefix_);
    EXPECT_TRUE(read) << read.error().message();
    return read ? *std::move(read) : Trace{};
  }

  std::string folder_;
  std::string prefix_;
};

struct RawRecord {
  BlktraceRecord head{};
  std::string pdu;
};

std::vector<RawRecord> records_of(const std::string& path) {
  const std::string bytes = *base::read_file(path, 1 << 24);
  std::vector<RawRecord> records;
  for (std::size_t at = 0; at < bytes.size();) {
    RawRecord record;
    std::memcpy(&record.head, bytes.data() + at, sizeof record.head);
    record.pdu = bytes.substr(at + sizeof record.head, record.head.pdu_bytes);
    at += sizeof record.head + record.pdu.size();
    records.push_back(record);
  }
  return records;
}

bool is_event(const RawRecord& record) { return (record.head.action & kNotifyCategory) == 0; }

std::string record_bytes(const BlktraceRecord& head, const std::string& pdu = {}) {
  BlktraceRecord record = head;
  record.pdu_bytes = static_cast<std::uint16_t>(pdu.size());
  return std::string(reinterpret_cast<const char*>(&record), sizeof record) + pdu;
}

// As the kernel writes one.
BlktraceRecord kernel_record(std::uint64_t time_ns, std::uint32_t sequence, std::uint32_t act = 1) {
  BlktraceRecord record{};
  record.magic = kBlktraceMagic | kBlktraceVersion;
  record.time_ns = time_ns;
  record.sequence = sequence;
  record.action = act | 0x110000;
  record.device = 8U << 20;
  record.cpu = 2;
  return record;
}

Event plain_event(std::int64_t time_ns, BlockAct act) {
  Event event;
  event.time_ns = time_ns;
  event.block.device = kPlantedLoop;
  event.block.action = std::uint32_t(act) | 0x110000;
  return event;
}

TEST_F(BlktraceFile, WhatWasWrittenComesBackEqual) {
  for (const bool guest : {false, true}) {
    for (const bool ids : {false, true}) {
      for (const char* loss : {"none", "middle", "tail", "all"}) {
        const Trace trace = Planter({40, guest, ids, loss}).plant();
        EXPECT_EQ(difference(trace, written_and_read(trace)), "") << guest << ids << loss;
        std::filesystem::remove_all(folder_);
        std::filesystem::create_directory(folder_);
      }
    }
  }
}

// Everything that an event can hold and the kernel's records have no field for.
TEST_F(BlktraceFile, WhatBlktraceHasNoPlaceForComesBack) {
  Trace trace = Planter({2, true, true, "middle"}).plant();
  trace.wall_start_ns = -5;  // no wall clock record can say that
  trace.cut = true;
  trace.sources[1].name = "a guest = 100%\n";
  trace.names.push_back({1, 4'000'000'000, ""});
  trace.names.push_back({0, 100, "a longer \"name\"\nof its successor"});
  trace.names.push_back({0, 100, "fio"});
  trace.devices.push_back({1, 259U << 20 | 0xfffff, "nvme0n1 "});
  Event early = plain_event(-1'000, BlockAct::kIssue);
  early.stream = 65535;
  early.block.queue = 7;
  trace.events.insert(trace.events.begin(), early);
  Event late = plain_event(90'000'000'000, BlockAct::kSplit);
  late.block.aux = UINT64_MAX - 1;
  trace.events.push_back(late);
  late.block.action = std::uint32_t(BlockAct::kUnplug);
  late.block.request = 3;
  trace.events.push_back(late);
  late.block.action = std::uint32_t(BlockAct::kRemap) | 0x110000;
  late.block.request = UINT64_MAX;
  late.block.vm = 9;
  trace.events.push_back(late);
  late.block.request = 1;  // a device of nobody
  late.block.error = 5;
  late.block.vm = 0;
  trace.events.push_back(late);
  EXPECT_EQ(difference(trace, written_and_read(trace)), "");
}

TEST_F(BlktraceFile, AnEmptyTraceComesBack) {
  Trace trace;
  trace.sources.push_back({SourceKind::kService, "disk", 0, true, {}});
  EXPECT_EQ(difference(trace, written_and_read(trace)), "");
}

// As `blkparse -d` writes it: in order of time over all files, names and clock before all.
TEST_F(BlktraceFile, OneFileOfAllComesBackEqual) {
  const Trace trace = Planter({40, true, true, "middle"}).plant();
  ASSERT_TRUE(write_blktrace(trace, prefix_));
  std::vector<RawRecord> first;
  std::multimap<std::uint64_t, RawRecord> rest;
  for (unsigned i = 0; std::filesystem::exists(path(i)); ++i) {
    for (const RawRecord& record : records_of(path(i))) {
      const bool other = !is_event(record) && record.head.action != kNotifyMessage;
      if (other) {
        first.push_back(record);
      } else {
        rest.emplace(record.head.time_ns, record);
      }
    }
  }
  for (const auto& [time_ns, record] : rest) first.push_back(record);
  std::ofstream file(folder_ + "/one.bin", std::ios::binary);
  for (const RawRecord& record : first) file << record_bytes(record.head, record.pdu);
  file.close();
  const auto read = read_blktrace(folder_ + "/one.bin");
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(difference(trace, *read), "");
}

TEST_F(BlktraceFile, EveryFileIsOneProcessorsAndOneDevicesInOrder) {
  ASSERT_TRUE(write_blktrace(Planter({40, true, true, "none"}).plant(), prefix_));
  std::set<std::uint32_t> devices;
  unsigned files = 0;
  for (; std::filesystem::exists(path(files)); ++files) {
    std::uint32_t sequence = 0;
    std::uint64_t time_ns = 0;
    const auto records = records_of(path(files));
    for (const RawRecord& record : records) {
      EXPECT_EQ(record.head.cpu, files);
      EXPECT_EQ(record.head.device, records.front().head.device);
      if (!is_event(record)) continue;
      EXPECT_EQ(record.head.sequence, ++sequence);
      EXPECT_GE(record.head.time_ns, time_ns);
      time_ns = record.head.time_ns;
    }
    EXPECT_GT(sequence, 0u);
    devices.insert(records.front().head.device);
  }
  EXPECT_EQ(files, 4u);
  EXPECT_EQ(devices, (std::set<std::uint32_t>{kPlantedLoop, 512U << 20}));
}

TEST_F(BlktraceFile, GuestsGetMajorsThatNoHostDeviceHas) {
  Trace trace;
  trace.sources.resize(3);
  trace.sources[0].kind = trace.sources[2].kind = SourceKind::kGuest;
  trace.sources[1].kind = SourceKind::kHost;
  for (std::uint16_t source = 0; source < 3; ++source) {
    for (const std::uint32_t major : {8, 512}) {
      Event event = plain_event(source, BlockAct::kQueue);
      event.source = source;
      event.block.device = major << 20 | 3;
      trace.events.push_back(event);
    }
  }
  EXPECT_EQ(difference(trace, written_and_read(trace)), "");
  std::vector<std::uint32_t> majors;
  for (unsigned i = 0; i < 6; ++i) {
    const std::uint32_t device = records_of(path(i)).front().head.device;
    EXPECT_EQ(device & 0xfffff, 3u);
    majors.push_back(device >> 20);
  }
  EXPECT_EQ(majors, (std::vector<std::uint32_t>{513, 514, 8, 512, 515, 516}));
}

TEST_F(BlktraceFile, NumbersLeftOutAreTheLossInItsPlace) {
  ASSERT_TRUE(write_blktrace(Planter({300, false, true, "middle"}).plant(), prefix_));
  for (const auto& [number, lost] : {std::pair{0U, 7U}, std::pair{1U, 5U}}) {
    std::uint32_t expected = 1;
    std::uint64_t before_ns = 0;
    unsigned gaps = 0;
    for (const RawRecord& record : records_of(path(number))) {
      if (!is_event(record)) continue;
      if (record.head.sequence != expected) {
        EXPECT_EQ(record.head.sequence - expected, lost);
        EXPECT_LT(before_ns, 15'000'500u);
        EXPECT_GT(record.head.time_ns, 15'000'530u);
        ++gaps;
      }
      expected = record.head.sequence + 1;
      before_ns = record.head.time_ns;
    }
    EXPECT_EQ(gaps, 1u);
  }
}

// More is lost than there are numbers: they go up all the same.
TEST_F(BlktraceFile, ALossWithoutEndComesBack) {
  Trace trace = Planter({4, false, true, "none"}).plant();
  std::int64_t at_ns = 200'000;
  for (const std::uint64_t records : {UINT64_MAX / 2, std::uint64_t{0xfffffffe}}) {
    trace.losses.push_back({at_ns, at_ns, records, 0, 0, 0, abi::TraceLossCause::kBig});
    ++at_ns;
  }
  EXPECT_EQ(difference(trace, written_and_read(trace)), "");
  std::uint32_t sequence = 0;
  for (const RawRecord& record : records_of(path(0))) {
    if (!is_event(record)) continue;
    EXPECT_GT(record.head.sequence, sequence);
    sequence = record.head.sequence;
  }
}

// Of two devices of one processor: only the second goes on, and only there a hole can be seen.
TEST_F(BlktraceFile, ALossStandsWhereItsProcessorGoesOn) {
  Trace trace;
  trace.sources.resize(1);
  for (const auto& [time_ns, device] : {std::pair{10, 1U}, {20, 2U}, {30, 1U}, {50, 2U}}) {
    Event event = plain_event(time_ns, BlockAct::kQueue);
    event.block.device = device;
    trace.events.push_back(event);
  }
  trace.losses.push_back({31, 40, 6, 0, 0, 0, abi::TraceLossCause::kFull});
  EXPECT_EQ(difference(trace, written_and_read(trace)), "");
  EXPECT_EQ(records_of(path(1)).back().head.sequence, 8u);
}

TEST_F(BlktraceFile, TheToolsAreToldTheWallClockAndWhoseAProcessIs) {
  ASSERT_TRUE(write_blktrace(Planter({2, true, true, "none"}).plant(), prefix_));
  std::vector<std::pair<std::uint32_t, std::string>> names;
  for (const RawRecord& record : records_of(path(0))) {
    if (record.head.action == kNotifyProcess) {
      names.emplace_back(record.head.pid, record.pdu.c_str());
    }
    if (record.head.action != kNotifyTime) continue;
    std::uint32_t clock[2];
    ASSERT_EQ(record.pdu.size(), sizeof clock);
    std::memcpy(clock, record.pdu.data(), sizeof clock);
    EXPECT_EQ(clock[0], 1'700'000'000u);
    EXPECT_EQ(clock[1], 123'456'789u);
    names.emplace_back(0, "clock");
  }
  const decltype(names) expected = {
      {0, "clock"}, {100, "fio"}, {101, "a longer \"name\""}, {10'000'100, "dd"}};
  EXPECT_EQ(names, expected);
  EXPECT_EQ(records_of(path(2)).back().head.pid, 10'000'101u);
}

// A guest's own, and the host's of what was the guest's.
TEST_F(BlktraceFile, ARemapNamesDevicesAsTheyAreShown) {
  Trace trace = Planter({2, true, true, "none"}).plant();
  Event remap = trace.events.front();
  remap.block.action = std::uint32_t(BlockAct::kRemap) | 0x110000;
  remap.block.request = 253U << 20 | 1;
  remap.block.aux = 0x1234;
  trace.events.insert(trace.events.begin(), remap);
  EXPECT_EQ(difference(trace, written_and_read(trace)), "");
  for (const auto& [number, from] : {std::pair{0U, "\x20\x10"}, {2U, "\x20\x00"}}) {
    for (const RawRecord& record : records_of(path(number))) {
      if ((record.head.action & 0xffff) != std::uint32_t(BlockAct::kRemap)) continue;
      EXPECT_EQ(record.pdu[0], from[0]) << number;
      EXPECT_EQ(record.pdu[1], from[1]) << number;
    }
  }
}

TEST_F(BlktraceFile, EventsTakenOutOfOurFilesAreMissed) {
  const Trace trace = Planter({40, false, true, "middle"}).plant();
  ASSERT_TRUE(write_blktrace(trace, prefix_));
  std::string thinner;
  unsigned events = 0;
  for (const RawRecord& record : records_of(path(1))) {
    if (is_event(record) && (++events == 5 || events == 6)) continue;
    thinner += record_bytes(record.head, record.pdu);
  }
  ASSERT_TRUE(base::write_file_atomic(path(1), thinner));
  const auto read = read_blktrace(prefix_);
  ASSERT_TRUE(read);
  ASSERT_EQ(read->losses.size(), trace.losses.size() + 1);
  EXPECT_EQ(read->lost(), trace.lost() + 2);
  EXPECT_EQ(read->losses.front().cause, abi::TraceLossCause::kCorrupt);
  EXPECT_EQ(read->losses.front().stream, 1);
}

// ---- files of others ----

base::Result<Trace> parsed(const std::string& bytes) {
  const BlktraceBytes files[] = {{"f", bytes}};
  return parse_blktrace(files, "f");
}

std::string refusal(const std::string& bytes) {
  const auto trace = parsed(bytes);
  return trace ? "" : trace.error().message();
}

TEST(ForeignBlktrace, TimesAreFromTheFirstEventAndTheWallClockIsItsOwn) {
  BlktraceRecord clock = kernel_record(1'000, 0);
  clock.action = kNotifyTime;
  const std::uint32_t wall[] = {1'700'000'000, 999'999'999};
  const std::string pdu(reinterpret_cast<const char*>(wall), sizeof wall);
  const auto trace = parsed(record_bytes(clock, pdu) + record_bytes(kernel_record(5'000, 1)) +
                            record_bytes(kernel_record(5'700, 2)));
  ASSERT_TRUE(trace) << trace.error().message();
  EXPECT_EQ(trace->wall_start_ns, 1'700'000'000'999'999'999 + 4'000);
  ASSERT_EQ(trace->events.size(), 2u);
  EXPECT_EQ(trace->events[0].time_ns, 0);
  EXPECT_EQ(trace->events[1].time_ns, 700);
  EXPECT_EQ(trace->events[1].stream, 2);
  EXPECT_EQ(trace->events[1].block.cpu, 2);
  EXPECT_EQ(trace->sources.front().kind, SourceKind::kFile);
  EXPECT_TRUE(trace->losses.empty());
}

TEST(ForeignBlktrace, NumbersLeftOutAreLossesOfTheKernel) {
  std::string bytes;
  for (const unsigned sequence : {5, 6, 9, 10, 3, 4}) {  // 7 and 8; then begun anew
    bytes += record_bytes(kernel_record(100 * sequence, sequence));
  }
  const auto trace = parsed(bytes);
  ASSERT_TRUE(trace);
  ASSERT_EQ(trace->losses.size(), 1u);
  const Loss& loss = trace->losses.front();
  EXPECT_EQ(loss.records, 2u);
  EXPECT_EQ(loss.cause, abi::TraceLossCause::kKernel);
  EXPECT_EQ(loss.first_ns, 300);
  EXPECT_EQ(loss.last_ns, 600);
}

TEST(ForeignBlktrace, ATraceWithoutNumbersHasNoLoss) {
  const std::string one = record_bytes(kernel_record(1, 0));
  const auto trace = parsed(one + one + one);
  ASSERT_TRUE(trace);
  EXPECT_TRUE(trace->losses.empty());
}

TEST(ForeignBlktrace, RemapsAndControlGroupsAreUnderstood) {
  const std::string origin{"\x00\x80\x00\x01\x00\x70\x00\x00\x00\x00\x00\x00\x00\x00\x12\x34", 16};
  const std::string group(8, '\x11');
  const auto trace =
      parsed(record_bytes(kernel_record(1, 1, 15), origin) +
             record_bytes(kernel_record(2, 2, 15 | kCgroupAct), group + origin) +
             record_bytes(kernel_record(3, 3, 7 | kCgroupAct), group) +
             record_bytes(kernel_record(4, 4, 13), std::string("\0\0\0\0\0\0\0\x09", 8)));
  ASSERT_TRUE(trace) << trace.error().message();
  for (const std::size_t i : {0, 1}) {
    EXPECT_EQ(trace->events[i].act(), BlockAct::kRemap);
    EXPECT_EQ(trace->events[i].block.request, 8U << 20 | 1);
    EXPECT_EQ(trace->events[i].block.aux, 0x1234u);
  }
  EXPECT_EQ(trace->events[2].act(), BlockAct::kIssue);
  EXPECT_EQ(trace->events[2].block.request, 0u);
  EXPECT_EQ(trace->events[3].block.aux, 9u);
}

TEST(ForeignBlktrace, ANameIsTakenOnce) {
  BlktraceRecord name = kernel_record(1, 0);
  name.action = kNotifyProcess;
  name.pid = 42;
  name.sector = 99;  // nobody wrote that
  const std::string bytes = record_bytes(name, std::string("fio\0junk............", 16));
  const auto trace = parsed(bytes + bytes);
  ASSERT_TRUE(trace);
  ASSERT_EQ(trace->names.size(), 1u);
  EXPECT_EQ(all_of(trace->names.front()), all_of(ProcessName{0, 42, "fio"}));
}

TEST(ForeignBlktrace, AFileThatEndsWithinARecordIsCut) {
  const std::string one = record_bytes(kernel_record(1, 1, 15), std::string(16, '\0'));
  for (const std::size_t missing : {1, 16, 17, 63}) {
    const auto trace = parsed(one + one.substr(0, one.size() - missing));
    ASSERT_TRUE(trace);
    EXPECT_TRUE(trace->cut) << missing;
    EXPECT_EQ(trace->events.size(), 1u) << missing;
  }
  EXPECT_FALSE(parsed(one)->cut);
}

TEST(ForeignBlktrace, WhatCannotBeReadIsSaidWithFileAndPlace) {
  const std::string one = record_bytes(kernel_record(1, 1));
  EXPECT_EQ(refusal(one + std::string(48, 'x')), "f: at byte 48: no record of blktrace");
  std::string newer = one;
  newer[0] = 8;
  EXPECT_EQ(refusal(one + newer),
            "f: at byte 48: version 8 of blktrace; there is only version 7 here");
  std::string swapped = one;
  std::reverse(swapped.begin(), swapped.begin() + 4);
  EXPECT_EQ(refusal(swapped), "f: at byte 0: written by a machine of the other byte order");
  BlktraceRecord processor = kernel_record(1, 1);
  processor.cpu = 65536;
  EXPECT_EQ(refusal(record_bytes(processor)),
            "f: at byte 0: processor 65536, which no machine has");
  BlktraceRecord note = kernel_record(1, 1);
  note.action = kNotifyMessage;
  EXPECT_EQ(refusal(record_bytes(note, "fairlead loss records=x cause=full")),
            "f: at byte 0: the note 'loss' has no right 'first_ns'");
  const auto said = [&](const std::string& text) { return refusal(record_bytes(note, text)); };
  EXPECT_EQ(said("fairlead loss first_ns=0 last_ns=0 records=1 bytes=0 cause=cause9"),
            "f: at byte 0: the note 'loss' has no right 'cause'");
  EXPECT_EQ(said("fairlead source source=0 kind=9 bound_ns=0 clock_known=1 name=x pids_from=0"),
            "f: at byte 0: the note 'source' has no right 'kind'");
  EXPECT_EQ(said("fairlead source source=64 kind=1 bound_ns=0 clock_known=1 name=x pids_from=0"),
            "f: at byte 0: the note 'source' has no right 'source'");
  EXPECT_EQ(said("fairlead set version=1 wall_start_ns=0 cut=0 sources=65"),
            "f: at byte 0: the note 'set' has no right 'sources'");
  const std::string ours = record_bytes(note,
                                        "fairlead file version=1 source=0 stream=2 zero_ns=0 "
                                        "pids_from=0 device=8,0 shown=8,0");
  for (const std::size_t bytes : {1, 7, 9, 16, 23, 25}) {
    EXPECT_EQ(refusal(ours + record_bytes(kernel_record(1, 1), std::string(bytes, '\0'))),
              fmt::format("f: at byte {}: a pdu of {} bytes, which no event of ours has",
                          ours.size(), bytes));
  }
}

// ---- the file system ----

TEST_F(BlktraceFile, ASetThatIsThereIsNotMixedWithAnother) {
  const Trace trace = Planter({4, false, true, "none"}).plant();
  std::ofstream(path(17)) << "of somebody";
  const auto written = write_blktrace(trace, prefix_);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind(), base::ErrorKind::kExists);
  EXPECT_FALSE(std::filesystem::exists(path(0)));
}

TEST_F(BlktraceFile, ATraceThatMakesNoSenseIsRefused) {
  Trace trace = Planter({4, false, true, "none"}).plant();
  trace.events.back().source = 1;
  EXPECT_EQ(write_blktrace(trace, prefix_).error().kind(), base::ErrorKind::kInvalid);
  trace.events.back().source = 0;
  for (const std::int64_t first_ns : {INT64_MIN, std::int64_t{-2}}) {
    trace.events.front().time_ns = first_ns;
    trace.events.back().time_ns = INT64_MAX;
    EXPECT_EQ(write_blktrace(trace, prefix_).error().kind(), base::ErrorKind::kInvalid);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

// The second file does not fit, and takes the first with it.
TEST_F(BlktraceFile, AfterAFullDiskThereAreNoFiles) {
  Trace trace = Planter({300, false, true, "none"}).plant();
  std::erase_if(trace.events, [](const Event& e) { return e.stream == 0 && e.block.sector > 0; });
  base::Status written;
  {
    const base::FullDisk full(8192);
    written = write_blktrace(trace, prefix_);
  }
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message().find("t.blktrace.1"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(BlktraceFile, NothingToReadIsSaid) {
  const auto read = read_blktrace(prefix_);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), base::ErrorKind::kNotFound);
}

TEST_F(BlktraceFile, ANumberIsWrittenInOneWay) {
  const Trace trace = Planter({4, false, true, "none"}).plant();
  ASSERT_TRUE(write_blktrace(trace, prefix_));
  const auto once = read_blktrace(prefix_);
  std::filesystem::copy(path(0), prefix_ + ".blktrace.00");
  const auto again = read_blktrace(prefix_);
  ASSERT_TRUE(once && again);
  EXPECT_EQ(again->events.size(), once->events.size());
}

TEST_F(BlktraceFile, ASetOfEmptyFilesIsNoTrace) {
  std::ofstream(path(0));
  std::ofstream(path(1));
  const auto read = read_blktrace(prefix_);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), base::ErrorKind::kCorrupt);
}

TEST_F(BlktraceFile, AFileOfASetCanBeReadAlone) {
  const Trace trace = Planter({40, true, true, "middle"}).plant();
  ASSERT_TRUE(write_blktrace(trace, prefix_));
  const auto read = read_blktrace(path(2));
  ASSERT_TRUE(read) << read.error().message();
  std::vector<Event> own;
  for (const Event& event : trace.events) {
    if (event.source == 1 && event.stream == 0) own.push_back(event);
  }
  EXPECT_EQ(first_difference("events", own, read->events, true), "");
}

}  // namespace
}  // namespace fairlead::trace
