// SPDX-License-Identifier: Apache-2.0
#include "apps/manager_lock.h"

#include "daemon/runtime_dir.h"

namespace fairlead::apps {
namespace {

base::Error held(const std::string& path) {
  const auto holder = daemon::LockFile::holder(path);
  std::string text = "a manager runs already";
  if (holder && *holder && (*holder)->process) {
    text += " as process " + std::to_string((*holder)->process->pid);
  }
  return base::Error(base::ErrorKind::kBusy, std::move(text)).advise("end it first");
}

}  // namespace

base::Result<daemon::LockFile> take_manager_lock(const std::string& kind) {
  FL_TRY(const auto folder, daemon::RuntimeDir::open(daemon::RuntimeDir::Purpose::kServe));
  const std::string path = folder.path() + "/manager@" + kind + ".lock";
  auto lock = daemon::LockFile::take(path);
  if (!lock && lock.error().kind() == base::ErrorKind::kBusy) return base::fail(held(path));
  return lock;
}

}  // namespace fairlead::apps
