// SPDX-License-Identifier: Apache-2.0
#include "guest/modules.h"

#include <algorithm>
#include <cstring>
#include <map>

#include <elf.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "guest/package.h"

namespace fairlead::guest {
namespace {

using Names = std::vector<std::string>;

// An ELF object with a .modinfo section and nothing else.
std::string module_with(const std::string& info) {
  const std::string names("\0.modinfo\0.shstrtab\0", 20);
  Elf64_Ehdr head{};
  std::memcpy(head.e_ident, ELFMAG, SELFMAG);
  head.e_ident[EI_CLASS] = ELFCLASS64;
  head.e_shoff = sizeof head;
  head.e_shentsize = sizeof(Elf64_Shdr);
  head.e_shnum = 3;
  head.e_shstrndx = 2;
  Elf64_Shdr sections[3] = {};
  sections[1].sh_name = 1;
  sections[1].sh_offset = sizeof head + sizeof sections;
  sections[1].sh_size = info.size();
  sections[2].sh_name = 10;
  sections[2].sh_offset = sections[1].sh_offset + info.size();
  sections[2].sh_size = names.size();
  std::string out(reinterpret_cast<const char*>(&head), sizeof head);
  out.append(reinterpret_cast<const char*>(sections), sizeof sections);
  return out + info + names;
}

std::string info(const std::string& depends) {
  return std::string("license=GPL\0", 12) + "depends=" + depends + '\0';
}

TEST(Modules, ReadsWhatAModuleNeeds) {
  EXPECT_EQ(*module_needs(module_with(info("virtio,virtio-ring"))),
            (Names{"virtio", "virtio_ring"}));
  EXPECT_EQ(*module_needs(module_with(info(""))), Names{});
}

TEST(Modules, NoObjectCutShortOrSpoiledIsRead) {
  const std::string whole = module_with(info("a,b"));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto needs = module_needs(whole.substr(0, size));
    EXPECT_EQ(needs.value_or(Names{"a", "b"}), (Names{"a", "b"})) << size;
  }
  for (std::size_t at = 0; at < sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Shdr); ++at) {
    std::string spoiled = whole;
    spoiled[at] = '\xff';
    static_cast<void>(module_needs(spoiled));  // no crash under the sanitizers
  }
}

TEST(Modules, EachComesAfterWhatItNeeds) {
  const std::map<std::string, Names> needs = {{"pci", {"ring", "modern", "core"}},
                                              {"core", {"ring"}},
                                              {"ring", {}},
                                              {"modern", {}},
                                              {"blk", {"core"}}};
  const auto order = order_of(
      {"pci", "blk"}, [&](const std::string& name) { return base::Result<Names>(needs.at(name)); });
  ASSERT_TRUE(order);
  EXPECT_EQ(*order, (Names{"ring", "modern", "core", "pci", "blk"}));
}

TEST(Modules, ARingIsRefused) {
  const auto order = order_of({"a"}, [](const std::string& name) {
    return base::Result<Names>(name == "a" ? Names{"b"} : Names{"a"});
  });
  ASSERT_FALSE(order);
  EXPECT_EQ(order.error().kind(), base::ErrorKind::kInvalid);
}

TEST(Modules, BuiltInOnesAreLeftOutAndMissingOnesSaid) {
  auto folder = ScratchFolder::make(::testing::TempDir());
  ASSERT_TRUE(make_folders(folder->path() + "/kernel/x"));
  const auto write = [&](const char* name, const std::string& depends) {
    ASSERT_TRUE(
        base::write_file_atomic(folder->path() + "/kernel/x/" + name, module_with(info(depends))));
  };
  write("virtio-blk.ko", "virtio,inside");
  write("virtio.ko", "");
  ASSERT_TRUE(base::write_file_atomic(folder->path() + "/modules.builtin", "kernel/y/inside.ko\n"));
  const auto order = load_order(folder->path(), {"virtio_blk"});
  ASSERT_TRUE(order) << order.error().message();
  ASSERT_EQ(order->size(), 2U);
  EXPECT_EQ((*order)[0].name, "virtio");
  EXPECT_EQ((*order)[1].name, "virtio_blk");
  write("virtio.ko", "absent");
  EXPECT_EQ(load_order(folder->path(), {"virtio_blk"}).error().kind(), base::ErrorKind::kNotFound);
}

}  // namespace
}  // namespace fairlead::guest
