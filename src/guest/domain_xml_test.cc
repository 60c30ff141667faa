// SPDX-License-Identifier: Apache-2.0
#include "guest/domain_xml.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "guest/lab_names.h"

namespace fairlead::guest {
namespace {

DomainSpec spec() {
  DomainSpec spec;
  spec.name = "aos_1";
  spec.kernel = "/cache/kernel";
  spec.initramfs = "/cache/initramfs";
  spec.agent_socket = "/run/aos_1.agent";
  spec.command_socket = "/run/aos_1.run";
  spec.trace_socket = "/run/aos_1.port";
  spec.console_log = "/run/aos_1.console";
  return spec;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(DomainXml, SaysMemoryPinsAndBalloon) {
  DomainSpec one = spec();
  one.vcpus = 2;
  one.pin = 1;
  const std::string xml = domain_xml(one);
  EXPECT_TRUE(has(xml, "<memory unit='MiB'>2048</memory>"));
  EXPECT_TRUE(has(xml, "<currentMemory unit='MiB'>512</currentMemory>"));
  EXPECT_TRUE(has(xml, "<vcpupin vcpu='0' cpuset='1'/>"));
  EXPECT_TRUE(has(xml, "<vcpupin vcpu='1' cpuset='1'/>"));
  EXPECT_FALSE(has(xml, "vcpu='2'"));
  EXPECT_TRUE(has(xml, "<memballoon model='virtio'><stats period='1'/></memballoon>"));
  EXPECT_TRUE(has(xml, "<domain type='qemu'>"));
  one.accel = Accel::kKvm;
  one.pin.reset();
  EXPECT_TRUE(has(domain_xml(one), "<domain type='kvm'>"));
  EXPECT_FALSE(has(domain_xml(one), "cputune"));
}

TEST(DomainXml, NamesCannotBecomeXml) {
  DomainSpec one = spec();
  one.name = "a</name><devices>&'\"";
  one.agent_socket = "/run/it's <here>";
  const std::string xml = domain_xml(one);
  EXPECT_FALSE(has(xml, "a</name><devices>"));
  EXPECT_TRUE(has(xml, "<name>a&lt;/name&gt;&lt;devices&gt;&amp;&apos;&quot;</name>"));
  EXPECT_TRUE(has(xml, "path='/run/it&apos;s &lt;here&gt;'"));
  EXPECT_FALSE(has(escape_xml(std::string("a\0b\nc", 5)), "\n"));
}

TEST(DomainXml, ASessionHasNoSecurityLabel) {
  DomainSpec one = spec();
  EXPECT_TRUE(has(domain_xml(one), "<label>+0:+0</label>"));
  one.privileged = false;
  EXPECT_FALSE(has(domain_xml(one), "seclabel"));
}

TEST(DomainXml, ADiskIsAFileOrADeviceOfTheHost) {
  DomainSpec one = spec();
  EXPECT_FALSE(has(domain_xml(one), "<disk"));
  one.disk = "/cache/disk & more";
  EXPECT_TRUE(has(domain_xml(one), "<disk type='file' device='disk'>"));
  EXPECT_TRUE(has(domain_xml(one), "<source file='/cache/disk &amp; more'/>"));
  one.disk = "/dev/loop3";
  one.disk_is_device = true;
  EXPECT_TRUE(has(domain_xml(one), "<disk type='block' device='disk'>"));
  EXPECT_TRUE(has(domain_xml(one), "<source dev='/dev/loop3'/>"));
}

TEST(DomainXml, ACardHasMemoryOfItsName) {
  DomainSpec one = spec();
  EXPECT_FALSE(has(domain_xml(one), "shmem"));
  EXPECT_FALSE(has(domain_xml(one), "relay="));
  one.relay = "fairlead-0-aos_1";
  one.relay_bytes = 4 << 20;
  const std::string xml = domain_xml(one);
  EXPECT_TRUE(has(xml, "<shmem name='fairlead-0-aos_1'>"));
  EXPECT_TRUE(has(xml, "<model type='ivshmem-plain'/>"));
  EXPECT_TRUE(has(xml, "<size unit='B'>4194304</size>"));
  EXPECT_TRUE(has(xml, " relay='/dev/shm/fairlead-0-aos_1' port="));
}

// One port of the controller is the console's, whether there is one or not.
TEST(DomainXml, EveryGuestHasPortsForTracesAndForCommands) {
  const std::string xml = domain_xml(spec());
  EXPECT_TRUE(has(xml, "ports='4'"));
  EXPECT_TRUE(has(xml,
                  "path='/run/aos_1.run'/>\n      <target type='virtio' "
                  "name='fairlead.run'/>"));
  EXPECT_TRUE(has(xml, " run='/run/aos_1.run'/>"));
  EXPECT_TRUE(has(xml,
                  "path='/run/aos_1.port'/>\n      <target type='virtio' "
                  "name='fairlead.relay'/>"));
  EXPECT_TRUE(has(xml, " port='/run/aos_1.port' "));
}

TEST(LabNames, MemoryOfACardIsNamedByItsLabAndItsGuest) {
  const std::string one = relay_name("/run/a/lab", "aos_1");
  EXPECT_TRUE(one.starts_with("fairlead-"));
  EXPECT_TRUE(one.ends_with("-aos_1"));
  EXPECT_EQ(one, relay_name("/run/a/lab", "aos_1"));
  EXPECT_NE(one, relay_name("/run/b/lab", "aos_1"));
  EXPECT_NE(one, relay_name("/run/a/lab", "aos_2"));
  EXPECT_EQ(one.find('/'), std::string::npos);
}

TEST(DomainXml, EscapedTextComesBack) {
  rc::check([](const std::string& text) {
    std::string plain;
    for (const char c : text) plain += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '_' : c;
    RC_ASSERT(unescape_xml(escape_xml(plain)) == plain);
  });
}

TEST(DomainXml, TheMarkIsReadInEitherQuotes) {
  for (const char* relay : {"", "/dev/shm/fairlead-1-it's"}) {
    for (const char* port : {"", "/run/'x'.port"}) {
      for (const char* run : {"", "/run/<x>.run"}) {
        const LabMark mark{"/run/it's.agent", "/run/<x>.console", relay, port, run};
        EXPECT_EQ(parse_mark(mark_xml(mark)), mark);
      }
    }
  }
  EXPECT_EQ(parse_mark("<lab xmlns=\"x\" agent=\"/a\" console=\"/b\"/>"),
            (LabMark{"/a", "/b", "", "", ""}));
  EXPECT_FALSE(parse_mark(""));
  EXPECT_FALSE(parse_mark("<lab/>"));
}

TEST(LabNames, PrefixesThatAreNoFilesAreRefused) {
  EXPECT_TRUE(check_prefix("aos_"));
  for (const char* bad : {"", ".a", "-a", "a/b", "a b", "../x", "ä"})
    EXPECT_FALSE(check_prefix(bad));
  EXPECT_FALSE(check_prefix(std::string(41, 'a')));
}

TEST(LabNames, PinsAreOneForAllOrOneForEach) {
  using Pins = std::vector<std::uint32_t>;
  EXPECT_EQ(*parse_pins("0", 8, 2), Pins{0});
  EXPECT_EQ(*parse_pins("0,1,0", 3, 2), (Pins{0, 1, 0}));
  EXPECT_FALSE(parse_pins("0,1", 3, 2));
  EXPECT_FALSE(parse_pins("2", 1, 2));
  EXPECT_FALSE(parse_pins("", 1, 2));
  EXPECT_FALSE(parse_pins("0,", 2, 2));
  EXPECT_EQ(pin_of({}, 3), std::nullopt);
  EXPECT_EQ(pin_of({1}, 3), 1U);
  EXPECT_EQ(pin_of({0, 1, 0}, 1), 1U);
}

}  // namespace
}  // namespace fairlead::guest
