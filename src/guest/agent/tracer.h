// SPDX-License-Identifier: Apache-2.0
//
// Tracer: the block events of this guest's kernel on their way out of it.
//
//     agent ── fork ─► tracer: tracefs ─► KernelSource ─► TraceChannel ─► card's memory, or port
//                      └── pipe: "ok …" or "error …" once it has started, and once it has ended
//
// A process of its own, so that the agent answers meanwhile, and nothing it does ends the agent.
//
// Thread-safety: none; the agent's one thread.  Ownership: the child.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/fd.h"
#include "guest/agent_protocol.h"

namespace fairlead::guest {

class Tracer {
 public:
  // nullptr, and the answer comes later; or what is wrong.
  const char* start(std::uint32_t id, const TraceCommand& command);
  const char* stop(std::uint32_t id);

  int fd() const noexcept { return pipe_.get(); }  // readable: call read(); -1: nobody traces

  struct News {
    std::uint32_t id = 0;
    bool ok = false;
    std::string_view text;  // valid until the next call
  };
  // One answer at a time, until there is none.
  std::optional<News> read();

 private:
  std::optional<News> news_of(std::string_view line);
  void keep(std::string_view why);

  base::Fd pipe_;
  pid_t child_ = 0;
  LineBuffer lines_;
  std::uint32_t start_id_ = 0;  // whose answer is still to come; 0: nobody's
  std::uint32_t stop_id_ = 0;
  char last_words_[kLineBytes / 2] = {};  // why it ended, if nobody had asked it to
};

// What the child does; it does not return.
[[noreturn]] void trace_until_told(const TraceCommand& command, int answers);

}  // namespace fairlead::guest
