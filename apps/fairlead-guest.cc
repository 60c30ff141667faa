// SPDX-License-Identifier: Apache-2.0
//
// fairlead guest: makes the kernel and initramfs that the small guests boot.
#include <cstdio>
#include <filesystem>

#include <fmt/format.h>

#include "apps/command.h"
#include "base/file.h"
#include "base/json.h"
#include "guest/image.h"
#include "guest/lock.h"
#include "guest/package.h"

namespace {

using namespace fairlead;

constexpr const char* kProgram = "fairlead-guest";

struct GuestCommand {
  std::string lock;
  std::string cache;
  std::string output = "text";
  bool uml = false;
  bool headers = false;
};

base::Result<guest::ImageOptions> options_of(const GuestCommand& command) {
  guest::ImageOptions options;
  options.on_step = apps::show_step;
  options.cache = command.cache;
  if (options.cache.empty()) {
    FL_TRY(options.cache, guest::cache_folder());
  }
  options.cache = std::filesystem::absolute(options.cache).string();
  FL_TRY(options.agent, guest::find_agent());
  return options;
}

void print(const GuestCommand& command, guest::ImageKind kind, const guest::Image& image,
           const std::string& headers) {
  if (command.output == "text") {
    fmt::print("kernel     {}\ninitramfs  {}\n", image.kernel, image.initramfs);
    if (!headers.empty()) fmt::print("headers    {}\n", headers);
    return;
  }
  std::string out;
  base::JsonWriter json(out);
  json.begin_object()
      .member("kind", guest::name(kind))
      .member("kernel", image.kernel)
      .member("initramfs", image.initramfs)
      .member("key", image.key)
      .member("version", image.version)
      .member("fresh", image.fresh);
  if (!headers.empty()) json.member("headers", headers);
  json.end_object();
  std::puts(out.c_str());
}

base::Status build(const GuestCommand& command) {
  FL_TRY(const auto lock, guest::PackageLock::load(command.lock));
  FL_TRY(const auto options, options_of(command));
  const auto kind = command.uml ? guest::ImageKind::kUml : guest::ImageKind::kQemu;
  FL_TRY(const guest::Image image, guest::build_image(kind, lock, options));
  std::string headers;
  if (command.headers) {
    FL_TRY(headers, guest::build_headers(lock, options));
  }
  print(command, kind, image, headers);
  return {};
}

base::Status headers(const GuestCommand& command) {
  FL_TRY(const auto lock, guest::PackageLock::load(command.lock));
  FL_TRY(const auto options, options_of(command));
  FL_TRY(const std::string folder, guest::build_headers(lock, options));
  if (command.output == "text") return std::puts(folder.c_str()), base::Status();
  std::string out;
  base::JsonWriter(out).begin_object().member("headers", folder).end_object();
  std::puts(out.c_str());
  return {};
}

base::Status refresh_lock(const GuestCommand& command) {
  FL_TRY(const auto lock, guest::PackageLock::refreshed());
  const std::string path = command.lock.empty() ? guest::PackageLock::user_path() : command.lock;
  const auto folder = std::filesystem::path(path).parent_path().string();
  if (!folder.empty()) FL_TRY_STATUS(guest::make_folders(folder));
  FL_TRY_STATUS(base::write_file_atomic(path, lock.text()));
  if (command.output == "text") {
    std::printf("%s", lock.text().c_str());
    std::fprintf(stderr, "written to %s\n", path.c_str());
    return {};
  }
  std::string out;
  base::JsonWriter json(out);
  json.begin_object().member("lock", path).key("packages").begin_array();
  for (const auto& one : lock.packages()) {
    json.begin_object()
        .member("role", one.role)
        .member("name", one.name)
        .member("version", one.version)
        .member("sha256", one.sha256)
        .end_object();
  }
  json.end_array().end_object();
  std::puts(out.c_str());
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  apps::CommandLine app("kernels and first file systems for small guests, made of Debian packages",
                        kProgram);
  GuestCommand command;
  app.add_option("--lock", command.lock, "file that pins the packages [yours, else built in]");
  app.add_option("--cache", command.cache, "folder [$XDG_CACHE_HOME/fairlead]");
  app.add_option("-o,--output", command.output, "text or json")
      .check(apps::one_of({"text", "json"}, apps::InHelp::kYes))
      .capture_default_str();
  const auto build_verb =
      app.add_subcommand("build", "make kernel and initramfs, unless they are there");
  build_verb.add_flag("--uml", command.uml, "for User-Mode Linux");
  build_verb.add_flag("--headers", command.headers, "the matching kernel headers, too");
  const auto headers_verb = app.add_subcommand("headers", "fetch the matching kernel headers");
  const auto lock_verb = app.add_subcommand("lock", "pin what the archive has now");
  for (const auto verb : {build_verb, headers_verb, lock_verb}) verb.fallthrough();
  app.require_subcommand(1, 1);
  return apps::run(app, argc, argv, [&] {
    const auto status = build_verb.parsed()     ? build(command)
                        : headers_verb.parsed() ? headers(command)
                                                : refresh_lock(command);
    return status ? apps::kDone : apps::fail(kProgram, status.error());
  });
}
