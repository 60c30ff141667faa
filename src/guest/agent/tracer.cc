// SPDX-License-Identifier: Apache-2.0
#include "guest/agent/tracer.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace fairlead::guest {

const char* Tracer::start(std::uint32_t id, const TraceCommand& command) {
  if (pipe_) return "it is being traced";
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return "cannot make a pipe";
  pipe_.reset(ends[0]);
  const base::Fd answers(ends[1]);
  ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
  child_ = ::fork();
  if (child_ == 0) {
    pipe_.reset();
    trace_until_told(command, answers.get());
  }
  if (child_ < 0) {
    pipe_.reset();
    return "cannot start a process";
  }
  lines_ = {};
  last_words_[0] = '\0';
  start_id_ = id;
  return nullptr;
}

const char* Tracer::stop(std::uint32_t id) {
  if (!pipe_) return last_words_[0] == '\0' ? "nothing is being traced" : last_words_;
  if (start_id_ != 0 || stop_id_ != 0) return "it is starting or ending";
  stop_id_ = id;
  ::kill(child_, SIGTERM);  // its pipe is open: nobody else has this number
  return nullptr;
}

void Tracer::keep(std::string_view why) {
  const std::size_t size = std::min(why.size(), sizeof last_words_ - 1);
  std::copy_n(why.data(), size, last_words_);
  last_words_[size] = '\0';
}

// Whose answer a line of the child is.  One that ends it is its last: whoever asks next is told so
// already.
std::optional<Tracer::News> Tracer::news_of(std::string_view line) {
  const bool ok = line.starts_with("ok");
  const std::string_view text = line.substr(std::min(line.find(' '), line.size()));
  if (!ok || start_id_ == 0) pipe_.reset();
  const std::uint32_t id =
      start_id_ != 0 ? std::exchange(start_id_, 0) : std::exchange(stop_id_, 0);
  if (id != 0) return News{id, ok, text};
  keep(text);
  return std::nullopt;
}

std::optional<Tracer::News> Tracer::read() {
  while (pipe_) {
    while (const auto line = lines_.next()) {
      if (const auto news = news_of(*line)) return news;
    }
    if (!pipe_) break;
    char bytes[kLineBytes / 2];
    const ssize_t got = ::read(pipe_.get(), bytes, sizeof bytes);
    if (got < 0) break;
    if (got > 0) {
      lines_.push({bytes, static_cast<std::size_t>(got)});
    } else if (const auto news = news_of("error the tracer ended")) {
      return news;
    }
  }
  return std::nullopt;
}

}  // namespace fairlead::guest
