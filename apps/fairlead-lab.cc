// SPDX-License-Identifier: Apache-2.0
//
// fairlead lab: small real guests under libvirt, and the loads they carry.
#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "apps/command.h"
#include "apps/guest_image.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/terminal.h"
#include "base/text_table.h"
#include "base/units.h"
#include "daemon/end_watch.h"
#include "daemon/runtime_dir.h"
#include "guest/agent_client.h"
#include "guest/lab.h"
#include "guest/lab_names.h"
#include "guest/libvirtd.h"
#include "guest/load_shape.h"

namespace {

using namespace fairlead;
using base::ErrorKind;

constexpr const char* kProgram = "fairlead-lab";
constexpr std::int64_t kCommandNs = 10 * base::kNanosPerSecond;
constexpr std::int64_t kBootNs = 60 * base::kNanosPerSecond;  // and as much again for four guests

std::string default_uri() {
  const char* const named = std::getenv("LIBVIRT_DEFAULT_URI");
  return named != nullptr && *named != '\0' ? named : "qemu:///system";
}

struct LabCommand {
  guest::UpOptions up;
  std::string uri = default_uri();
  std::string output = "text";
  std::string accel = "auto";
  std::string pins;
  std::string lock;
  std::string which = "all";
  std::vector<std::string> shapes;
  std::vector<std::string> words;  // of a command in a guest
  std::string private_folder;
  bool all = false;
  std::string disk_path;
  std::string relay;
  bool disk = false;
  bool stop = false;
};

base::Result<std::string> runtime_folder(const char* name) {
  FL_TRY(const auto folder, daemon::RuntimeDir::open(daemon::RuntimeDir::Purpose::kServe));
  return folder.path() + "/" + name;
}

base::Result<guest::Lab> open_lab(const LabCommand& command) {
  guest::LabOptions options;
  options.uri = command.uri;
  FL_TRY(options.folder, runtime_folder("lab"));
  return guest::Lab::open(std::move(options));
}

std::string with_member(const char* name, std::uint64_t number) {
  std::string out;
  base::JsonWriter(out).begin_object().member(name, number).end_object();
  return out;
}

// A file of 4 GiB that takes no room: what the page cache loads read.
base::Result<std::string> disk_file(const std::string& cache) {
  std::string path = cache + "/empty-disk";
  const base::Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!file || ::ftruncate(file.get(), off_t{4} << 30) != 0) {
    return base::fail_errno(errno, "make " + path);
  }
  return path;
}

// What is wrong with a command line, beyond single options.
base::Status check(const LabCommand& command) {
  if (command.uri.empty()) return base::fail(ErrorKind::kInvalid, "--uri: it is empty");
  if (command.private_folder.empty()) return {};
  auto folder =
      guest::Libvirtd::check_folder(std::filesystem::absolute(command.private_folder).string());
  if (!folder) return base::fail(std::move(folder).error().at("--private"));
  return {};
}

// A card's memory is a power of two.
base::Result<std::uint64_t> relay_bytes(const std::string& text) {
  FL_TRY(const std::uint64_t bytes, base::parse_bytes(text));
  if (std::has_single_bit(bytes) && bytes >= guest::kLeastRelayBytes &&
      bytes <= guest::kMostRelayBytes) {
    return bytes;
  }
  return base::fail(ErrorKind::kInvalid,
                    fmt::format("a power of two from {} to {} is accepted, not {}",
                                base::format_bytes(guest::kLeastRelayBytes),
                                base::format_bytes(guest::kMostRelayBytes), text));
}

base::Status check_up(LabCommand& command) {
  guest::UpOptions& options = command.up;
  if (auto prefix = guest::check_prefix(options.prefix); !prefix) {
    return base::fail(std::move(prefix).error().at("--name"));
  }
  if (options.memory_mib > options.max_mib) {
    return base::fail(ErrorKind::kInvalid, "--memory is more than --max");
  }
  if (!command.relay.empty()) {
    auto bytes = relay_bytes(command.relay);
    if (!bytes) return base::fail(std::move(bytes).error().at("--relay"));
    options.relay_bytes = *bytes;
  }
  if (command.pins.empty()) return {};
  const auto online = static_cast<std::uint32_t>(::sysconf(_SC_NPROCESSORS_ONLN));
  auto pins = guest::parse_pins(command.pins, options.count, online);
  if (!pins) return base::fail(std::move(pins).error().at("--pin"));
  options.pins = *std::move(pins);
  return {};
}

// SIGTERM and SIGINT from here on end what was started.  Ending 64 guests takes a while.
constexpr std::int64_t kUndoNs = 60 * base::kNanosPerSecond;

base::Status start_guests(const LabCommand& command, guest::UpOptions options,
                          const guest::Image& image, const daemon::EndWatch& end) {
  FL_TRY(auto lab, open_lab(command));
  options.timeout_ns = kBootNs * (1 + options.count / 4);
  options.stop_fd = end.fd();
  const std::int64_t start = base::monotonic_ns();
  FL_TRY_STATUS(lab.up(options, image, apps::show_step));
  if (command.output == "json")
    return std::puts(with_member("guests", options.count).c_str()), base::Status();
  fmt::print("{} guests up in {}\n", options.count, base::format_ns(base::monotonic_ns() - start));
  return {};
}

base::Result<guest::Image> prepare(const LabCommand& command, guest::UpOptions& options) {
  FL_TRY_STATUS(guest::libvirt_answers(command.uri));
  FL_TRY(auto made, apps::guest_image(command.lock, command.accel, apps::show_step));
  options.accel = made.accel.accel;
  if (!made.accel.remembered && options.accel == guest::Accel::kTcg) {
    std::fprintf(stderr, "%s: guests are emulated: %s\n", kProgram, made.accel.why.c_str());
  }
  if (command.disk) {
    FL_TRY(options.disk, disk_file(made.cache));
  }
  if (!command.disk_path.empty()) {
    options.disk = std::filesystem::absolute(command.disk_path).string();
    if (::access(options.disk.c_str(), R_OK) != 0) {
      return base::fail_errno(errno, "read " + options.disk);
    }
  }
  return made.image;
}

// Exit code; as a shell has it, if a signal ended it.
int up(LabCommand& command) {
  if (const auto good = check_up(command); !good) {
    return apps::fail_usage(kProgram, good.error().message());
  }
  const auto image = prepare(command, command.up);
  if (!image) return apps::fail(kProgram, image.error());
  // Before libvirt has threads, of which one could take the signal.
  const auto end = daemon::EndWatch::start(kProgram, kUndoNs);
  if (!end) return apps::fail(kProgram, end.error());
  const auto status = start_guests(command, command.up, *image, **end);
  if (status) return apps::kDone;
  if (!(*end)->asked()) return apps::fail(kProgram, status.error());
  return apps::fail_by_signal(kProgram, status.error(), (*end)->number());
}

void add_json(base::JsonWriter& json, const guest::LabGuest& one) {
  json.begin_object()
      .member("name", one.name)
      .member("uuid", one.uuid)
      .member("state", one.state)
      .member("accel", guest::name(one.accel))
      .member("vcpus", one.vcpus)
      .member("memory_bytes", one.memory_kib * 1024)
      .member("max_bytes", one.max_kib * 1024)
      .member("pins", one.pins)
      .member("agent", one.mark.agent_socket)
      .member("console", one.mark.console_log)
      .member("relay", one.mark.relay)
      .member("port", one.mark.trace_socket);
  json.key("report");
  if (!one.report) {
    json.null().end_object();
    return;
  }
  const guest::Report& report = *one.report;
  json.begin_object()
      .member("up_ms", report.up_ms)
      .member("boot_ms", report.boot_ms)
      .member("total_bytes", report.total_kib * 1024)
      .member("free_bytes", report.free_kib * 1024)
      .member("available_bytes", report.available_kib * 1024)
      .member("loads", report.loads)
      .member("rounds", report.rounds)
      .member("load_bytes", report.memory_kib * 1024)
      .member("load_peak_bytes", report.peak_kib * 1024)
      .member("loads_ended", report.ended)
      .member("oom_kills", report.oom_kills)
      .member("memory_pressure_percent", static_cast<double>(report.pressure) / 100)
      .end_object()
      .end_object();
}

base::Status ls(const LabCommand& command) {
  FL_TRY(auto lab, open_lab(command));
  FL_TRY(const auto guests, lab.list("all", command.all ? "" : command.up.prefix, true));
  if (command.output == "json") {
    std::string out;
    base::JsonWriter json(out);
    json.begin_object().key("guests").begin_array();
    for (const auto& one : guests) add_json(json, one);
    json.end_array().end_object();
    return std::puts(out.c_str()), base::Status();
  }
  base::TextTable table({"guest", "state", "accel", "vCPUs", "on", "memory", "max", "available",
                         "loads", "rounds", "held", "OOM kills"});
  for (const auto& one : guests) {
    const auto kib = [](std::uint64_t count) { return base::format_bytes(count * 1024); };
    std::vector<std::string> cells = {one.name,
                                      one.report ? one.state : one.state + ", silent",
                                      std::string(guest::name(one.accel)),
                                      std::to_string(one.vcpus),
                                      one.pins,
                                      kib(one.memory_kib),
                                      kib(one.max_kib)};
    if (one.report) {
      cells.insert(cells.end(), {kib(one.report->available_kib), std::to_string(one.report->loads),
                                 std::to_string(one.report->rounds), kib(one.report->memory_kib),
                                 std::to_string(one.report->oom_kills)});
    }
    table.add(std::move(cells));
  }
  std::fputs(table.text().c_str(), stdout);
  return {};
}

base::Result<std::vector<guest::LabGuest>> chosen(const LabCommand& command) {
  FL_TRY(auto lab, open_lab(command));
  FL_TRY(auto guests, lab.list(command.which, command.up.prefix, false));
  if (!guests.empty()) return guests;
  return base::fail(base::Error(ErrorKind::kNotFound, "no lab guest '" + command.which + "'")
                        .advise("fairlead lab ls shows them"));
}

base::Status load(const LabCommand& command) {
  std::string words = "load";
  for (const std::string& shape : command.shapes) words += " " + shape;
  if (command.shapes.front() == "stop") words = "stop";
  FL_TRY(const auto guests, chosen(command));
  FL_TRY_STATUS(guest::tell(guests, words, kCommandNs));
  if (command.output == "json") std::puts(with_member("guests", guests.size()).c_str());
  return {};
}

// virsh does it well: a terminal in raw mode, ^] to leave.
base::Status console(const LabCommand& command) {
  FL_TRY(const auto guests, chosen(command));
  std::fprintf(stderr, "press Enter for a shell\n");
  ::execlp("virsh", "virsh", "-c", command.uri.c_str(), "console", guests.front().name.c_str(),
           static_cast<char*>(nullptr));
  return base::fail_errno(errno, "run virsh (apt-get install libvirt-clients)");
}

// Without an exit where nobody knows it.
std::string said_json(const std::string& name, const base::Result<int>& status,
                      const std::string& said) {
  std::string out;
  base::JsonWriter json(out);
  json.begin_object().member("guest", name);
  if (status) json.member("exit", static_cast<std::uint64_t>(*status));
  json.member("output", said).end_object();
  return out;
}

// A guest is not to steer a terminal.  Whether anybody reads it.
bool show_said(std::string_view bytes) {
  const bool terminal = base::is_terminal(1);
  for (const char c : bytes) {
    const bool control = static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t';
    std::fputc(terminal && (control || c == '\x7f') ? '?' : c, stdout);
  }
  return apps::flush_stdout();
}

// The exit status of the guest's command, as ssh has it.
base::Result<int> run_command(const LabCommand& command, int stop_fd) {
  if (command.which == "all") {
    return base::fail(base::Error(ErrorKind::kInvalid, "a command is run in one guest, not in all")
                          .advise("name it: fairlead lab ls shows them"));
  }
  FL_TRY(const auto guests, chosen(command));
  const std::string& socket = guests.front().mark.command_socket;
  if (socket.empty()) {
    return base::fail(base::Error(ErrorKind::kUnsupported, "this guest has no port for commands")
                          .advise("it is of an older lab: fairlead lab down; fairlead lab up"));
  }
  FL_TRY(auto agent, guest::AgentClient::connect(socket));
  std::string said;
  const auto on_output = [&](std::string_view bytes) {
    if (command.output == "json") {
      said += bytes;
      return true;
    }
    return show_said(bytes);
  };
  const auto status =
      agent.run(fmt::format("{}", fmt::join(command.words, " ")), on_output, stop_fd);
  if (command.output == "json") {
    std::puts(said_json(guests.front().name, status, said).c_str());
  }
  return status;
}

int run_in_guest(const LabCommand& command) {
  const auto end = daemon::EndWatch::start(kProgram);
  if (!end) return apps::fail(kProgram, end.error());
  const auto status = run_command(command, (*end)->fd());
  return status ? *status : apps::fail(kProgram, status.error());
}

base::Result<guest::Libvirtd> own_libvirtd(const LabCommand& command) {
  if (!command.private_folder.empty()) {
    return guest::Libvirtd(std::filesystem::absolute(command.private_folder).string(),
                           guest::Libvirtd::Place::kPrivate);
  }
  FL_TRY(std::string folder, runtime_folder("libvirtd"));
  return guest::Libvirtd(std::move(folder), guest::Libvirtd::Place::kSystem);
}

base::Status down(const LabCommand& command) {
  std::uint32_t ended = 0;
  {
    FL_TRY(auto lab, open_lab(command));
    FL_TRY(ended, lab.down(command.all ? "" : command.up.prefix));
  }
  if (command.all) {
    FL_TRY(const auto daemon, own_libvirtd(command));
    FL_TRY_STATUS(daemon.stop());
  }
  if (command.output == "json")
    return std::puts(with_member("guests", ended).c_str()), base::Status();
  fmt::print("{} guests ended\n", ended);
  return {};
}

base::Status libvirtd(const LabCommand& command) {
  FL_TRY(const auto daemon, own_libvirtd(command));
  if (command.stop) {
    FL_TRY(const bool ran, daemon.stop());
    if (!ran) std::fprintf(stderr, "%s: none of ours was running\n", kProgram);
    return {};
  }
  FL_TRY_STATUS(daemon.start());
  if (command.output == "text") return std::puts(daemon.uri().c_str()), base::Status();
  std::string out;
  base::JsonWriter(out).begin_object().member("uri", daemon.uri()).end_object();
  std::puts(out.c_str());
  return {};
}

void add_up(apps::Command verb, LabCommand& command) {
  const auto number = [](int least, int most) {
    return apps::within(least, most, apps::InHelp::kYes);
  };
  verb.add_option("--vms", command.up.count, "how many guests")
      .check(number(1, 64))
      .capture_default_str();
  verb.add_option("--vcpus", command.up.vcpus, "of each")
      .check(number(1, 64))
      .capture_default_str();
  verb.add_option("--memory", command.up.memory_mib, "MiB that each starts with")
      .check(number(64, 1 << 20))
      .capture_default_str();
  verb.add_option("--max", command.up.max_mib, "MiB that each can grow to")
      .check(number(64, 1 << 20))
      .capture_default_str();
  verb.add_option("--pin", command.pins,
                  "processor of all guests, or one for each: 0,1,0,1 [free]");
  verb.add_option("--accel", command.accel, "auto, kvm or tcg")
      .check(apps::one_of({"auto", "kvm", "tcg"}, apps::InHelp::kYes))
      .capture_default_str();
  verb.add_option("--lock", command.lock, "file that pins the packages, as in fairlead guest");
  const auto disk =
      verb.add_flag("--disk", command.disk, "an empty disk each, for loads of page cache");
  verb.add_option("--disk-path", command.disk_path,
                  "a file or block device that is each one's disk, read-only")
      .check(apps::not_empty())
      .excludes(disk);
  verb.add_option("--relay", command.relay,
                  "memory of a card in each, which the host reads: 4M; for faster traces")
      .check(apps::not_empty())
      .type_name("BYTES");
}

std::string why_no_shape(const std::string& text) {
  const auto shape = guest::parse_load(text);
  return shape || text == "stop" ? std::string() : std::string(shape.error());
}

}  // namespace

int main(int argc, char** argv) {
  apps::CommandLine app("small real guests under libvirt, and the loads they carry", kProgram);
  LabCommand command;
  app.add_option("--uri", command.uri, "of libvirt [$LIBVIRT_DEFAULT_URI, else qemu:///system]");
  app.add_option("--name", command.up.prefix, "what the guests' names begin with")
      .capture_default_str();
  app.add_option("-o,--output", command.output, "text or json")
      .check(apps::one_of({"text", "json"}, apps::InHelp::kYes))
      .capture_default_str();
  const auto up_verb = app.add_subcommand("up", "start guests");
  add_up(up_verb, command);
  const auto ls_verb = app.add_subcommand("ls", "show them and what they report");
  ls_verb.add_flag("--all", command.all, "whatever their names");
  const auto load_verb = app.add_subcommand("load", "give a guest, or all, another load");
  load_verb.add_option("guest", command.which, "its name, or all").required();
  load_verb.add_option("shape", command.shapes, "cpu:…, mem:…, or stop")
      .required()
      .check({.why_not = why_no_shape, .in_help = "SHAPE"});
  const auto run_verb =
      app.add_subcommand("run", "a command by a guest's shell: its output and its exit status");
  run_verb.add_option("guest", command.which, "its name").required();
  run_verb.add_option("command", command.words, "what the shell is to run, behind --").required();
  const auto console_verb = app.add_subcommand("console", "a shell in a guest");
  console_verb.add_option("guest", command.which, "its name").required();
  const auto down_verb = app.add_subcommand("down", "end them and remove their files");
  down_verb.add_flag("--all", command.all, "whatever their names, and our libvirt daemon");
  const auto daemon_verb =
      app.add_subcommand("libvirtd", "start a libvirt daemon where no service manager does");
  daemon_verb.add_flag("--stop", command.stop, "end it");
  daemon_verb.add_option("--private", command.private_folder,
                         "folder for its sockets and state; prints its own URI");
  for (const auto verb : app.subcommands()) verb.fallthrough();
  app.require_subcommand(1, 1);
  return apps::run(app, argc, argv, [&] {
    if (const auto good = check(command); !good) {
      return apps::fail_usage(kProgram, good.error().message());
    }
    if (up_verb.parsed()) return up(command);
    if (run_verb.parsed()) return run_in_guest(command);
    const auto status = ls_verb.parsed()        ? ls(command)
                        : load_verb.parsed()    ? load(command)
                        : console_verb.parsed() ? console(command)
                        : down_verb.parsed()    ? down(command)
                                                : libvirtd(command);
    return status ? apps::kDone : apps::fail(kProgram, status.error());
  });
}
