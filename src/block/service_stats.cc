// SPDX-License-Identifier: Apache-2.0
#include "block/service_stats.h"

#include "base/json.h"
#include "fairlead/abi/control.h"

namespace fairlead::block {
namespace {

// A report travels in one message; clients beyond that are counted but not listed.
constexpr std::size_t kMostBeforeClient = abi::kMaxReportBytes - 2048;

void add_latency(base::JsonWriter& json, const base::Histogram& latency,
                 const char* name = "latency_ns") {
  json.key(name).begin_object();
  json.member("mean", latency.mean())
      .member("p50", latency.quantile(0.5))
      .member("p99", latency.quantile(0.99))
      .member("max", latency.max())
      .end_object();
}

void add_scheduled(base::JsonWriter& json, const ScheduledStats& scheduled) {
  json.key("scheduled")
      .begin_object()
      .member("scheduler", scheduled.scheduler)
      .member("depth", scheduled.depth)
      .member("requests", scheduled.requests)
      .member("transfers", scheduled.transfers)
      .end_object();
}

void add_throttle(base::JsonWriter& json, const ThrottleStats& throttle) {
  json.key("throttle").begin_object();
  json.member("drive", throttle.drive)
      .member("scheduler", throttle.scheduler)
      .member("k", throttle.k)
      .member("k_locked", throttle.locked)
      .member("answered", throttle.answered)
      .member("transfers", throttle.transfers)
      .member("hits", throttle.hits)
      .member("late", throttle.late)
      .member("within_2_percent", throttle.within);
  add_latency(json, throttle.lateness_ns, "lateness_ns");
  add_latency(json, throttle.service_ns, "virtual_service_ns");
  add_latency(json, throttle.response_ns, "virtual_response_ns");
  if (throttle.log) {
    json.key("log").begin_object().member("file", throttle.log->path);
    json.member("requests", throttle.log->requests).member("ended", throttle.log->ended);
    json.end_object();
  }
  json.end_object();
}

void add_client(base::JsonWriter& json, const ClientStats& client) {
  json.begin_object()
      .member("client", client.identity.number)
      .member("name", client.identity.name)
      .member("pid", client.identity.peer.pid)
      .member("uid", client.identity.peer.uid)
      .member("weight", client.identity.weight)
      .member("requests", client.counts.requests)
      .member("answered", client.counts.answered)
      .member("hits", client.counts.hits)
      .member("errors", client.counts.errors)
      .member("outstanding", client.outstanding)
      .member("doorbells", client.counts.doorbells)
      .member("wakes", client.counts.wakes)
      .end_object();
}

}  // namespace

std::string report(const ServiceStats& stats) {
  std::string out;
  base::JsonWriter json(out);
  json.begin_object()
      .member("image", stats.image)
      .member("sectors", stats.sectors)
      .member("engine", stats.engine)
      .member("uptime_s", static_cast<double>(stats.uptime_ns) * 1e-9)
      .member("idle_s", static_cast<double>(stats.idle_ns) * 1e-9)
      .member("requests", stats.requests)
      .member("answered", stats.answered)
      .member("errors", stats.errors)
      .member("faults", stats.faults)
      .member("clients_seen", stats.clients_seen)
      .member("hits", stats.cache_hits)
      .member("lookups", stats.cache_lookups)
      .member("hit_ratio", stats.hit_ratio())
      .member("cache_bytes", stats.cache_bytes)
      .member("joined", stats.joined)
      .member("device_reads", stats.device_reads)
      .member("doorbells", stats.doorbells)
      .member("wakes", stats.wakes)
      .member("enters", stats.enters)
      .member("sleeps", stats.sleeps);
  add_latency(json, stats.latency_ns);
  if (stats.throttle) add_throttle(json, *stats.throttle);
  if (stats.scheduled) add_scheduled(json, *stats.scheduled);
  json.member("clients_connected", stats.clients.size()).key("clients").begin_array();
  for (const ClientStats& client : stats.clients) {
    if (out.size() > kMostBeforeClient) break;
    add_client(json, client);
  }
  json.end_array().end_object();
  return out;
}

}  // namespace fairlead::block
