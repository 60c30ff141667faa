// SPDX-License-Identifier: Apache-2.0
#include "guest/domain_xml.h"

#include <fmt/format.h>

#include "guest/agent_protocol.h"

namespace fairlead::guest {
namespace {

struct Entity {
  char plain;
  std::string_view escaped;
};
constexpr Entity kEntities[] = {
    {'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&apos;"}};

std::string cpu_tuning(const DomainSpec& spec) {
  if (!spec.pin) return {};
  std::string out = "  <cputune>\n";
  for (std::uint32_t vcpu = 0; vcpu < spec.vcpus; ++vcpu) {
    out += fmt::format("    <vcpupin vcpu='{}' cpuset='{}'/>\n", vcpu, *spec.pin);
  }
  return out + "  </cputune>\n";
}

std::string disk(const DomainSpec& spec) {
  if (spec.disk.empty()) return {};
  return fmt::format(
      "    <disk type='{}' device='disk'>\n"
      "      <driver name='qemu' type='raw' cache='none' io='native'/>\n"
      "      <source {}='{}'/>\n"
      "      <target dev='vda' bus='virtio'/>\n"
      "      <readonly/><shareable/>\n"
      "    </disk>\n",
      spec.disk_is_device ? "block" : "file", spec.disk_is_device ? "dev" : "file",
      escape_xml(spec.disk));
}

// QEMU makes /dev/shm/NAME, as large as the card's memory, and leaves it behind.
std::string card(const DomainSpec& spec) {
  if (spec.relay.empty()) return {};
  return fmt::format(
      "    <shmem name='{}'>\n"
      "      <model type='ivshmem-plain'/>\n"
      "      <size unit='B'>{}</size>\n"
      "    </shmem>\n",
      escape_xml(spec.relay), spec.relay_bytes);
}

std::string port(const std::string& socket, const char* name) {
  return fmt::format(
      "    <channel type='unix'>\n"
      "      <source mode='bind' path='{}'/>\n"
      "      <target type='virtio' name='{}'/>\n"
      "    </channel>\n",
      escape_xml(socket), name);
}

std::string devices(const DomainSpec& spec) {
  std::string out =
      "  <devices>\n"
      "    <controller type='usb' model='none'/>\n"
      "    <controller type='virtio-serial' index='0' ports='4'/>\n";  // one is the console's
  out += port(spec.agent_socket, kAgentPort);
  out += port(spec.command_socket, kCommandPort);
  out += port(spec.trace_socket, kTracePort);
  out += fmt::format(
      "    <serial type='pty'>\n"
      "      <log file='{}' append='off'/>\n"
      "      <target type='isa-serial' port='0'/>\n"
      "    </serial>\n",
      escape_xml(spec.console_log));
  out += disk(spec);
  out += card(spec);
  out += "    <memballoon model='virtio'>";
  if (spec.stats_period_s != 0) out += fmt::format("<stats period='{}'/>", spec.stats_period_s);
  return out + "</memballoon>\n  </devices>\n";
}

std::string attribute(std::string_view xml, std::string_view key) {
  const std::string start = fmt::format(" {}='", key);
  for (const char quote : {'\'', '"'}) {
    std::string wanted = start;
    wanted.back() = quote;
    const std::size_t at = xml.find(wanted);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = xml.substr(at + wanted.size());
    return unescape_xml(rest.substr(0, rest.find(quote)));
  }
  return {};
}

}  // namespace

std::string_view name(Accel accel) noexcept { return accel == Accel::kKvm ? "kvm" : "tcg"; }

std::string escape_xml(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += '?';
      continue;
    }
    std::string_view escaped(&c, 1);
    for (const Entity& entity : kEntities) {
      if (entity.plain == c) escaped = entity.escaped;
    }
    out += escaped;
  }
  return out;
}

std::string unescape_xml(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t taken = 1;
    char plain = text.front();
    for (const Entity& entity : kEntities) {
      if (!text.starts_with(entity.escaped)) continue;
      plain = entity.plain;
      taken = entity.escaped.size();
    }
    out += plain;
    text.remove_prefix(taken);
  }
  return out;
}

std::string relay_file(std::string_view name) {
  return name.empty() ? std::string() : fmt::format("/dev/shm/{}", name);
}

std::string mark_xml(const LabMark& mark) {
  const auto known = [](const char* key, const std::string& value) {
    return value.empty() ? "" : fmt::format(" {}='{}'", key, escape_xml(value));
  };
  return fmt::format("<fairlead:lab xmlns:fairlead='{}' agent='{}' console='{}'{}{}{}/>",
                     kLabNamespace, escape_xml(mark.agent_socket), escape_xml(mark.console_log),
                     known("relay", mark.relay), known("port", mark.trace_socket),
                     known("run", mark.command_socket));
}

std::optional<LabMark> parse_mark(std::string_view xml) {
  LabMark mark{attribute(xml, "agent"), attribute(xml, "console"), attribute(xml, "relay"),
               attribute(xml, "port"), attribute(xml, "run")};
  if (mark.agent_socket.empty()) return std::nullopt;
  return mark;
}

std::string kernel_arguments(std::string_view more) {
  std::string out = "console=ttyS0 quiet cryptomgr.notests audit=0 no_timer_check init_on_alloc=0";
  if (!more.empty()) out += ' ';
  return out.append(more);
}

std::string domain_xml(const DomainSpec& spec) {
  std::string out = fmt::format(
      "<domain type='{}'>\n"
      "  <name>{}</name>\n"
      "  <metadata>{}</metadata>\n"
      "  <memory unit='MiB'>{}</memory>\n"
      "  <currentMemory unit='MiB'>{}</currentMemory>\n"
      "  <vcpu placement='static'>{}</vcpu>\n",
      spec.accel == Accel::kKvm ? "kvm" : "qemu", escape_xml(spec.name),
      mark_xml({spec.agent_socket, spec.console_log, relay_file(spec.relay), spec.trace_socket,
                spec.command_socket}),
      spec.max_mib, spec.memory_mib, spec.vcpus);
  out += cpu_tuning(spec);
  out += fmt::format(
      "  <os>\n"
      "    <type arch='x86_64' machine='pc'>hvm</type>\n"
      "    <kernel>{}</kernel>\n"
      "    <initrd>{}</initrd>\n"
      "    <cmdline>{}</cmdline>\n"
      "  </os>\n"
      "  <features><acpi/></features>\n",
      escape_xml(spec.kernel), escape_xml(spec.initramfs),
      escape_xml(kernel_arguments(spec.arguments)));
  if (spec.accel == Accel::kKvm) out += "  <cpu mode='host-passthrough' migratable='off'/>\n";
  out += devices(spec);
  if (spec.privileged) {
    // QEMU as the user who asked: it can read that user's cache, and its files are that user's.
    out += fmt::format(
        "  <seclabel type='static' model='dac' relabel='no'><label>+{}:+{}</label></seclabel>\n",
        spec.user, spec.group);
  }
  return out + "</domain>\n";
}

}  // namespace fairlead::guest
