// SPDX-License-Identifier: Apache-2.0
#include "guest/modules.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

#include <elf.h>
#include <fmt/format.h>

#include "base/file.h"

namespace fairlead::guest {
namespace {

using base::ErrorKind;

constexpr std::size_t kMostModuleBytes = 32 << 20;

template <typename T>
bool copy_at(std::string_view bytes, std::uint64_t at, T& out) {
  if (at > bytes.size() || bytes.size() - at < sizeof out) return false;
  std::memcpy(&out, bytes.data() + at, sizeof out);
  return true;
}

bool part_of(std::string_view bytes, std::uint64_t at, std::uint64_t size, std::string_view& out) {
  if (at > bytes.size() || size > bytes.size() - at) return false;
  out = bytes.substr(at, size);
  return true;
}

// The bytes of a section; empty if there is none or the file is malformed.
std::string_view section(std::string_view object, std::string_view wanted) {
  Elf64_Ehdr head;
  if (!copy_at(object, 0, head) || std::memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) return {};
  if (head.e_ident[EI_CLASS] != ELFCLASS64 || head.e_shentsize != sizeof(Elf64_Shdr)) return {};
  const auto header = [&](std::uint64_t index, Elf64_Shdr& out) {
    const std::uint64_t offset = index * sizeof(Elf64_Shdr);
    return head.e_shoff <= object.size() && copy_at(object, head.e_shoff + offset, out);
  };
  Elf64_Shdr names_header;
  std::string_view names;
  if (!header(head.e_shstrndx, names_header) ||
      !part_of(object, names_header.sh_offset, names_header.sh_size, names)) {
    return {};
  }
  for (std::uint64_t i = 0; i < head.e_shnum; ++i) {
    Elf64_Shdr one;
    if (!header(i, one) || one.sh_name >= names.size()) return {};
    const std::string_view name = names.substr(one.sh_name);
    if (name.substr(0, name.find('\0')) != wanted) continue;
    std::string_view content;
    part_of(object, one.sh_offset, one.sh_size, content);
    return content;
  }
  return {};
}

std::string with_underscores(std::string_view name) {
  std::string plain(name);
  std::ranges::replace(plain, '-', '_');
  return plain;
}

// "kernel/drivers/virtio/virtio.ko" → "virtio"
std::string name_of(const std::filesystem::path& path) {
  return with_underscores(path.stem().string());
}

std::map<std::string, std::string> modules_in(const std::string& folder) {
  std::map<std::string, std::string> found;
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::recursive_directory_iterator();
       entry.increment(error)) {
    if (entry->path().extension() == ".ko") found[name_of(entry->path())] = entry->path().string();
  }
  return found;
}

base::Result<std::set<std::string>> built_in(const std::string& folder) {
  FL_TRY(const std::string text, base::read_file(folder + "/modules.builtin", kMostModuleBytes));
  std::set<std::string> names;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    names.insert(name_of(std::string(rest.substr(0, end))));
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  }
  return names;
}

// Of the entries of a .modinfo section, what stands behind `key`.
std::vector<std::string_view> values_of(std::string_view info, std::string_view key) {
  std::vector<std::string_view> values;
  while (!info.empty()) {
    std::string_view entry = info.substr(0, info.find('\0'));
    info.remove_prefix(std::min(entry.size() + 1, info.size()));
    if (!entry.starts_with(key)) continue;
    entry.remove_prefix(key.size());
    values.push_back(entry);
  }
  return values;
}

class Order {
 public:
  explicit Order(const Needs& needs) : needs_(needs) {}

  base::Status visit(const std::string& name) {
    if (std::ranges::find(done_, name) != done_.end()) return {};
    if (std::ranges::find(path_, name) != path_.end()) {
      return base::fail(ErrorKind::kInvalid, fmt::format("module {} needs itself", name));
    }
    path_.push_back(name);
    FL_TRY(const auto below, needs_(name));
    for (const std::string& needed : below) FL_TRY_STATUS(visit(needed));
    path_.pop_back();
    done_.push_back(name);
    return {};
  }
  std::vector<std::string> take() { return std::move(done_); }

 private:
  const Needs& needs_;
  std::vector<std::string> path_;
  std::vector<std::string> done_;
};

}  // namespace

base::Result<std::vector<std::string>> module_needs(std::string_view object) {
  const std::string_view info = section(object, ".modinfo");
  if (info.empty()) return base::fail(ErrorKind::kCorrupt, "not a kernel module");
  std::vector<std::string> needs;
  for (std::string_view names : values_of(info, "depends=")) {
    while (!names.empty()) {
      const std::string_view one = names.substr(0, names.find(','));
      if (!one.empty()) needs.push_back(with_underscores(one));
      names.remove_prefix(std::min(one.size() + 1, names.size()));
    }
  }
  return needs;
}

std::vector<std::string> module_aliases(std::string_view object) {
  std::vector<std::string> aliases;
  for (const std::string_view alias : values_of(section(object, ".modinfo"), "alias=")) {
    aliases.emplace_back(alias);
  }
  return aliases;
}

base::Result<std::vector<std::string>> order_of(const std::vector<std::string>& wanted,
                                                const Needs& needs) {
  Order order(needs);
  for (const std::string& name : wanted) FL_TRY_STATUS(order.visit(with_underscores(name)));
  return order.take();
}

base::Result<std::vector<Module>> load_order(const std::string& folder,
                                             const std::vector<std::string>& wanted) {
  const auto files = modules_in(folder);
  FL_TRY(const auto inside, built_in(folder));
  const auto needs = [&](const std::string& name) -> base::Result<std::vector<std::string>> {
    const auto file = files.find(name);
    if (file == files.end()) {
      if (inside.contains(name)) return std::vector<std::string>();
      return base::fail(ErrorKind::kNotFound, fmt::format("{} has no module {}", folder, name));
    }
    FL_TRY(const std::string object, base::read_file(file->second, kMostModuleBytes));
    auto below = module_needs(object);
    if (!below) return base::fail(std::move(below).error().at(file->second));
    return below;
  };
  FL_TRY(const auto names, order_of(wanted, needs));
  std::vector<Module> order;
  for (const std::string& name : names) {
    if (const auto file = files.find(name); file != files.end())
      order.push_back({name, file->second});
  }
  return order;
}

base::Result<ModuleSet> module_set(const std::string& folder,
                                   const std::vector<std::string>& at_boot,
                                   const std::vector<std::string>& on_demand) {
  ModuleSet set;
  set.version = std::filesystem::path(folder).filename().string();
  FL_TRY(set.at_boot, load_order(folder, at_boot));
  std::vector<std::string> wanted = at_boot;
  wanted.insert(wanted.end(), on_demand.begin(), on_demand.end());
  FL_TRY(set.all, load_order(folder, wanted));
  for (const Module& module : set.all) {
    FL_TRY(const auto order, load_order(folder, {module.name}));
    set.dependencies += module.name + ".ko:";
    // The nearest first; the last of the order is the module itself.
    for (auto needed = order.rbegin() + 1; needed < order.rend(); ++needed) {
      set.dependencies += " " + needed->name + ".ko";
    }
    set.dependencies += '\n';
    FL_TRY(const std::string object, base::read_file(module.path, kMostModuleBytes));
    for (const std::string& alias : module_aliases(object)) {
      set.aliases += fmt::format("alias {} {}\n", alias, module.name);
    }
  }
  return set;
}

}  // namespace fairlead::guest
