// SPDX-License-Identifier: Apache-2.0
#include "apps/trace_sources.h"

#include <utility>

#include "apps/command.h"
#include "block/service_trace.h"
#include "daemon/runtime_dir.h"
#ifdef FL_HAVE_GUEST
#include "guest/guest_trace.h"
#endif
#include "relay/registry.h"
#include "trace/host_source.h"
#include "trace/relay_source.h"

namespace fairlead::apps {
namespace {

using base::ErrorKind;
using daemon::RuntimeDir;

base::Result<std::unique_ptr<trace::LiveSource>> open_service(const std::string& name) {
  const auto advise = [&](base::Error error) {
    if (error.kind() == ErrorKind::kNotFound) {
      return advise_start(base::Error(ErrorKind::kNotFound, "no service '" + name + "' runs"),
                          name);
    }
    return std::move(error).at("trace the service '" + name + "'");
  };
  const auto folder = RuntimeDir::open(RuntimeDir::Purpose::kUse);
  if (!folder) return base::fail(advise(folder.error()));
  auto consumer = relay::connect_by_name(*folder, block::kTracePrefix + name);
  if (!consumer) return base::fail(advise(consumer.error()));
  return trace::RelaySource::make(trace::SourceKind::kService, name, std::move(*consumer), true);
}

}  // namespace

void add_source_options(Command verb, TraceSources& sources) {
  verb.add_option("--service", sources.services,
                  "a block service of this host, by its name; again for another")
      .option_text("NAME")
      .one_each()
      .check(not_empty());
  verb.add_option("--host", sources.hosts,
                  "a block device of this host: vda, loop0; again for another; as root")
      .option_text("DEVICE")
      .one_each()
      .check(not_empty());
#ifdef FL_HAVE_GUEST
  verb.add_option(
          "--guest", sources.guests,
          "a guest of the lab, by its name: through its card, else its port; again for another")
      .option_text("NAME")
      .one_each()
      .check(not_empty());
#endif
}

base::Result<std::vector<std::unique_ptr<trace::LiveSource>>> open_sources(
    const TraceSources& sources) {
  std::vector<std::unique_ptr<trace::LiveSource>> opened;
  for (const std::string& name : sources.services) {
    FL_TRY(auto source, open_service(name));
    opened.push_back(std::move(source));
  }
#ifdef FL_HAVE_GUEST
  for (const std::string& name : sources.guests) {
    FL_TRY(const auto folder, RuntimeDir::open(RuntimeDir::Purpose::kUse));
    FL_TRY(auto source, guest::trace_guest(folder.path() + "/lab", name));
    opened.push_back(std::move(source));
  }
#endif
  // Last, as a guest takes a second to begin.
  if (!sources.hosts.empty()) {
    FL_TRY(auto source, trace::HostSource::open(sources.hosts));
    opened.push_back(std::move(source));
  }
  if (opened.empty()) {
    return base::fail(base::Error(ErrorKind::kInvalid, "nothing to trace")
                          .advise("name a source: --service NAME, --host DEVICE, --guest NAME"));
  }
  return opened;
}

}  // namespace fairlead::apps
