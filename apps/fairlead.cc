// SPDX-License-Identifier: Apache-2.0
//
// fairlead VERB …: runs fairlead-VERB, from its own folder or from PATH.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
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
};

void usage(std::FILE* to) {
  std::fputs("usage: fairlead VERB [arguments]\n       fairlead VERB --help\n\nverbs:\n", to);
  for (const Verb& verb : kVerbs) std::fprintf(to, "  %-12s %s\n", verb.name, verb.purpose);
}

}  // namespace

int main(int argc, char** argv) {
  fairlead::base::hold_standard_streams();
  const std::string verb = argc > 1 ? argv[1] : "";
  if (verb == "--help" || verb == "-h" || verb == "help") return usage(stdout), 0;
  if (verb == "--version") return std::puts("fairlead " FAIRLEAD_VERSION), 0;
  if (verb.empty() || verb.starts_with('-') || verb.find('/') != std::string::npos) {
    return usage(stderr), 2;
  }
  const std::string program = "fairlead-" + verb;
  std::vector<char*> arguments{const_cast<char*>(program.c_str())};
  for (int i = 2; i <= argc; ++i) arguments.push_back(argv[i]);  // the null at the end, too
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) ::execv((self.parent_path() / program).c_str(), arguments.data());
  ::execvp(program.c_str(), arguments.data());
  if (errno == ENOENT) {
    std::fprintf(stderr, "fairlead: no verb '%s' (try --help)\n", verb.c_str());
    return 2;
  }
  std::fprintf(stderr, "fairlead: run %s: %s\n", program.c_str(), std::strerror(errno));
  return 1;
}
