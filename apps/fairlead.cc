// SPDX-License-Identifier: Apache-2.0
//
// fairlead VERB …: runs fairlead-VERB, from its own folder or from PATH.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string>
#include <vector>

#include "base/standard_streams.h"

namespace {

struct Verb {
  const char* name;
  const char* purpose;
};

constexpr Verb kVerbs[] = {
    {"service", "serve a disk image to many client processes"},
    {"client", "read from a service and measure"},
    {"integrity", "compare what a client read with the image"},
    {"disk", "try schedulers on simulated disks"},
    {"trace", "record block I/O and say where its time goes"},
    {"vcpu", "keep processors evenly loaded by pinning guests' vCPUs"},
    {"memory", "move memory among guests before they starve"},
    {"monitor", "show what guests do with processors and memory"},
    {"guest", "make kernels and first file systems for small guests"},
    {"lab", "run small guests under libvirt and give them loads"},
    {"reproduce", "run a course document's cases again in simulation"},
};

void usage(std::FILE* to) {
  std::fputs("usage: fairlead VERB [arguments]\n       fairlead VERB --help\n\nverbs:\n", to);
  for (const Verb& verb : kVerbs) std::fprintf(to, "  %-12s %s\n", verb.name, verb.purpose);
}

int wrong(const char* what, const std::string& given) {
  std::fprintf(stderr, "fairlead: no %s '%s' (try --help)\n", what, given.c_str());
  return 2;
}

bool known(const std::string& verb) {
  return std::any_of(std::begin(kVerbs), std::end(kVerbs),
                     [&](const Verb& one) { return verb == one.name; });
}

// The exit code: what was printed must have arrived.
int printed() {
  if (std::fflush(stdout) == 0) return 0;
  std::fprintf(stderr, "fairlead: write standard output: %s\n", std::strerror(errno));
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  fairlead::base::hold_standard_streams();
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "--help" || verb == "-h" || verb == "help") return usage(stdout), printed();
  if (verb == "--version") return std::puts("fairlead " FAIRLEAD_VERSION), printed();
  if (verb.empty()) return usage(stderr), 2;
  if (verb.starts_with('-')) return wrong("option", verb);
  if (verb.find('/') != std::string::npos) return wrong("verb", verb);
  const std::string program = "fairlead-" + verb;
  std::vector<char*> arguments{const_cast<char*>(program.c_str())};
  for (int i = 2; i <= argc; ++i) arguments.push_back(argv[i]);  // the null at the end, too
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) ::execv((self.parent_path() / program).c_str(), arguments.data());
  ::execvp(program.c_str(), arguments.data());
  if (errno == ENOENT && !known(verb)) return wrong("verb", verb);
  if (errno == ENOENT) {
    std::fprintf(stderr, "fairlead: %s is neither beside fairlead nor in PATH (install it)\n",
                 program.c_str());
    return 1;
  }
  std::fprintf(stderr, "fairlead: run %s: %s\n", program.c_str(), std::strerror(errno));
  return 1;
}
