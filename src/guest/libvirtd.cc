// SPDX-License-Identifier: Apache-2.0
#include "guest/libvirtd.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/quote.h"
#include "daemon/process_id.h"
#include "guest/package.h"

namespace fairlead::guest {
namespace {

using base::ErrorKind;
using base::Fd;

constexpr std::int64_t kStartNs = 30 * base::kNanosPerSecond;
constexpr int kStopMs = 15'000;
constexpr int kLookForSocketMs = 20;
constexpr std::size_t kMostLogBytes = 1 << 20;
constexpr const char* kSystemSocket = "/run/libvirt/libvirt-sock";

constexpr const char* kQemuConfiguration =
    "user = \"root\"\n"
    "group = \"root\"\n"
    "dynamic_ownership = 0\n"
    "remember_owner = 0\n"
    "security_driver = \"none\"\n"
    "cgroup_controllers = []\n"
    "namespaces = []\n"
    "stdio_handler = \"file\"\n";  // so no virtlogd is needed

// What lies over what in the daemon's mount namespace; all but the first only for kPrivate.
constexpr std::array<std::array<const char*, 2>, 5> kMounts = {{{"etc", "/etc/libvirt"},
                                                                {"run", "/run/libvirt"},
                                                                {"lib", "/var/lib/libvirt"},
                                                                {"log", "/var/log/libvirt"},
                                                                {"cache", "/var/cache/libvirt"}}};

// Debian's libvirtd does not start without these, even if its configuration names others.
struct Account {
  const char* file;
  const char* name;
  const char* line;
};
constexpr std::array<Account, 2> kAccounts = {
    {{"/etc/passwd", "libvirt-qemu", "libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin\n"},
     {"/etc/group", "libvirt-qemu", "libvirt-qemu:x:64055:\n"}}};

struct Overlay {
  std::string source;
  const char* place;
};

// `file` with the account added, under `folder`; nothing if it is there already.
base::Result<std::vector<Overlay>> account_overlays(const std::string& folder) {
  std::vector<Overlay> overlays;
  for (const Account& account : kAccounts) {
    FL_TRY(std::string text, base::read_file(account.file, kMostLogBytes));
    const std::string start = std::string(account.name) + ":";
    if (text.starts_with(start) || text.contains("\n" + start)) continue;
    if (!text.ends_with('\n')) text += '\n';
    const std::string path = folder + "/" + std::string(account.file).substr(5);
    FL_TRY_STATUS(base::write_file_atomic(path, text + account.line));
    overlays.push_back({path, account.file});
  }
  return overlays;
}

// The root of a chroot is no mount and cannot be made private: a private copy of it, mounted at
// `place`, becomes the root.
bool enter_copy(const char* place) {
  const int tree = ::open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
  mount_attr change{};
  change.propagation = MS_PRIVATE;
  return tree >= 0 &&
         ::mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &change, sizeof change) == 0 &&
         ::move_mount(tree, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) == 0 &&
         ::chdir(place) == 0 && ::chroot(".") == 0;
}

bool enter_namespace(const char* place) {
  if (::unshare(CLONE_NEWNS) != 0) return false;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) return true;
  return errno == EINVAL && enter_copy(place);
}

bool lay(const Overlay& one) {
  if (::mkdir(one.place, 0755) != 0 && errno != EEXIST) return false;
  return ::mount(one.source.c_str(), one.place, nullptr, MS_BIND, nullptr) == 0;
}

// After the fork; only system calls.  Says what failed on stderr, the log.
[[noreturn]] void become_libvirtd(const char* root, const std::vector<Overlay>& overlays,
                                  char* const* arguments) {
  ::setsid();
  const bool good = enter_namespace(root) && std::all_of(overlays.begin(), overlays.end(), &lay);
  if (good) {
    ::execvp("libvirtd", arguments);
    ::execv("/usr/sbin/libvirtd", arguments);
  }
  std::perror("start libvirtd");
  ::_exit(1);
}

int send_signal(int process, int number) {
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, process, number, nullptr, 0));
}

bool ended(int process, int wait_ms) {
  pollfd file{process, POLLIN, 0};
  return ::poll(&file, 1, wait_ms) == 1;
}

std::string cause_in(const std::string& path) {
  const auto text = base::read_file(path, kMostLogBytes);
  if (!text) return "no log";
  // The last one says only that it gave up; the cause stands in the one with " failed: ".
  std::string_view rest = *text;
  const std::size_t cause = rest.rfind(" failed: ");
  if (cause != std::string_view::npos) rest = rest.substr(0, rest.find('\n', cause));
  while (rest.ends_with('\n')) rest.remove_suffix(1);
  const std::size_t start = rest.rfind('\n');
  return std::string(rest.substr(start == std::string_view::npos ? 0 : start + 1).substr(0, 300));
}

bool connects(const std::string& uri) {
  virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});  // the caller prints, not libvirt
  virConnectPtr connection = virConnectOpenReadOnly(uri.c_str());
  if (connection == nullptr) return false;
  virConnectClose(connection);
  return true;
}

// For a query of a URI.
std::string escaped(std::string_view path) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.-~";
  std::string text;
  for (const char c : path) {
    text += kPlain.contains(c) ? std::string(1, c)
                               : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return text;
}

base::Result<daemon::ProcessId> recorded(const std::string& folder) {
  FL_TRY(const std::string text, base::read_file(folder + "/process", 100));
  const auto process = daemon::ProcessId::parse(text);
  if (!process) return base::fail(ErrorKind::kCorrupt, folder + "/libvirtd.pid makes no sense");
  return *process;
}

}  // namespace

base::Status libvirt_answers(const std::string& uri) {
  if (connects(uri)) return {};
  const virError* const why = virGetLastError();
  const std::string text = why == nullptr || why->message == nullptr ? "no reason" : why->message;
  base::Error error(ErrorKind::kNotFound,
                    fmt::format("no libvirt daemon answers at {}: {}", uri, text));
  return base::fail(std::move(error).advise(
      ::access("/run/systemd/system", F_OK) == 0 ? "start it: systemctl start libvirtd"
      : ::geteuid() == 0                         ? "start one: fairlead lab libvirtd"
                                                 : "as root: fairlead lab libvirtd; or --uri "
                                                   "qemu:///session"));
}

base::Status Libvirtd::check_folder(const std::string& folder) {
  constexpr std::size_t kMost = sizeof(sockaddr_un::sun_path) - sizeof "/run/libvirt-admin-sock";
  const bool plain = std::ranges::none_of(
      folder, [](unsigned char c) { return c < ' ' || c == 0x7f || c == '"' || c == '\\'; });
  if (!plain) {
    return base::fail(ErrorKind::kInvalid,
                      base::quoted(folder) + " has a quote, a backslash or a control character");
  }
  if (folder.size() <= kMost) return {};
  return base::fail(ErrorKind::kInvalid, fmt::format("{} has {} characters; sockets in it leave {}",
                                                     base::quoted(folder), folder.size(), kMost));
}

std::string Libvirtd::uri() const {
  if (place_ == Place::kSystem) return "qemu:///system";
  return "qemu:///system?socket=" + escaped(folder_) + "/run/libvirt-sock";
}

base::Status Libvirtd::write_configuration() const {
  for (const auto& mount : kMounts) {
    FL_TRY_STATUS(make_folders(folder_ + "/" + mount[0]));
  }
  FL_TRY_STATUS(base::write_file_atomic(folder_ + "/etc/qemu.conf", kQemuConfiguration));
  const std::string sockets = place_ == Place::kPrivate ? folder_ + "/run" : "/run/libvirt";
  return base::write_file_atomic(
      folder_ + "/etc/libvirtd.conf",
      fmt::format("unix_sock_dir = \"{}\"\nauth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\n"
                  "log_outputs = \"2:stderr\"\n",
                  sockets));
}

bool Libvirtd::running() const {
  const auto process = recorded(folder_);
  if (!process) return false;
  const auto handle = process->open();
  return handle && !ended(handle->get(), 0);  // killed, it has a number until it is buried
}

base::Status Libvirtd::start() const {
  if (running() || (place_ == Place::kSystem && connects(uri()))) {
    return base::fail(ErrorKind::kExists, "a libvirt daemon answers at " + uri() + " already");
  }
  if (::geteuid() != 0) {
    return base::fail(base::Error(ErrorKind::kDenied, "only root can run a libvirt daemon for all")
                          .advise("use --uri qemu:///session, which starts its own"));
  }
  FL_TRY_STATUS(write_configuration());
  FL_TRY(std::vector<Overlay> overlays, account_overlays(folder_));
  for (const auto& mount : kMounts) {
    overlays.push_back({folder_ + "/" + mount[0], mount[1]});
    if (place_ == Place::kSystem) break;
  }
  const std::string root = folder_ + "/root";
  FL_TRY_STATUS(make_folders(root));
  std::string program = "libvirtd";
  std::string configuration = "--config=" + folder_ + "/etc/libvirtd.conf";
  // Its own pid file, not ours: libvirtd locks it, so that of the system is one at most.
  std::string pid_file =
      "--pid-file=" + (place_ == Place::kPrivate ? folder_ : "/run") + "/libvirtd.pid";
  char* const arguments[] = {program.data(), configuration.data(), pid_file.data(), nullptr};
  const std::string log_path = folder_ + "/libvirtd.log";
  const Fd log(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!log || !null) return base::fail_errno(errno, "open " + log_path);
  const pid_t child = ::fork();
  if (child < 0) return base::fail_errno(errno, "start libvirtd");
  if (child == 0) {
    ::dup2(null.get(), 0);
    ::dup2(log.get(), 1);
    ::dup2(log.get(), 2);
    become_libvirtd(root.c_str(), overlays, arguments);
  }
  FL_TRY(const auto process, daemon::ProcessId::of(child));
  FL_TRY_STATUS(base::write_file_atomic(folder_ + "/process", process.text()));
  FL_TRY(const Fd handle, process.open());
  return await_answer(handle.get());
}

base::Status Libvirtd::await_answer(int process) const {
  const std::int64_t end = base::monotonic_ns() + kStartNs;
  while (!connects(uri())) {
    const bool dead = ended(process, kLookForSocketMs);
    if (!dead && base::monotonic_ns() < end) continue;
    if (!dead) send_signal(process, SIGKILL);
    ::unlink((folder_ + "/process").c_str());
    return base::fail(dead ? ErrorKind::kIo : ErrorKind::kTimeout,
                      "libvirtd does not start: " + cause_in(folder_ + "/libvirtd.log"));
  }
  return {};
}

base::Result<bool> Libvirtd::stop() const {
  const auto process = recorded(folder_);
  if (!process) return false;
  const auto handle = process->open();
  const bool alive = handle && !ended(handle->get(), 0);
  if (alive) {
    send_signal(handle->get(), SIGTERM);
    if (!ended(handle->get(), kStopMs)) {
      send_signal(handle->get(), SIGKILL);
      if (!ended(handle->get(), kStopMs)) {
        return base::fail(ErrorKind::kTimeout, "libvirtd does not end, even killed");
      }
    }
  }
  ::unlink((folder_ + "/process").c_str());
  if (place_ == Place::kSystem) ::unlink(kSystemSocket);
  return alive;
}

}  // namespace fairlead::guest
