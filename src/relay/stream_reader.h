// SPDX-License-Identifier: Apache-2.0
//
// StreamReader: the consumer's end of one stream.  Protocol, layout, distrust: docs/design/relay.md
// and abi/relay.h.
//
// look() copies what is there, from one sub-buffer, and checks the copy; take() lets go of it.
// Between the two a consumer may write the data down: if it dies there, its successor gets the same
// data again.  Losses come with the data that follows them, or alone if nothing has followed yet.
//
// Thread-safety: one thread.  Ownership: a view; the segment must outlive it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "relay/platform.h"
#include "relay/stream_shape.h"

namespace fairlead::relay {

// Records that did not come, by cause, since the last time that this was told.
struct Losses {
  std::uint64_t full = 0;
  std::uint64_t big = 0;
  std::uint64_t state = 0;
  std::uint64_t nested = 0;
  std::uint64_t overwritten = 0;
  std::uint64_t corrupt = 0;
  std::uint64_t bytes = 0;        // of the first three
  std::uint64_t first_stamp = 0;  // of the newest gap of the first three; 0: none
  std::uint64_t last_stamp = 0;

  // Of those that count as attempts.
  std::uint64_t settled() const noexcept { return full + big + state + overwritten + corrupt; }
  std::uint64_t records() const noexcept { return settled() + nested; }
};

// Records so far, whoever read them.
struct StreamSums {
  std::uint64_t delivered = 0;
  std::uint64_t overwritten = 0;
  std::uint64_t corrupt = 0;
  std::uint64_t lost = 0;  // told, of all causes of the producer's
};

inline constexpr std::size_t kAllThereIs = SIZE_MAX;

// What look() found.
struct Piece {
  std::span<const std::byte> data;  // whole records with their headers, or whole items
  std::uint32_t records = 0;
  std::uint64_t position = 0;  // of data, in the stream
  std::uint64_t first = 0;     // number of its first record among all attempts, from 1
  Losses losses;               // before it
};

enum class Look : std::uint8_t {
  kEmpty,
  kPiece,   // data, perhaps losses before it
  kLosses,  // no data
  kBroken,  // positions that make no sense: this stream cannot be read any more
};

template <typename P>
class BasicStreamReader {
 public:
  using Memory = typename P::Memory;

  // Continues where the stream's last consumer stopped.  `first`: as the writer's.
  BasicStreamReader(const StreamShape& shape, Memory memory, const typename P::StreamIn& in,
                    typename P::StreamOut& out, std::uint64_t first = 0) noexcept
      : shape_(shape), memory_(memory), in_(in), out_(out) {
    adopt(first);
  }

  // `room`: sub_buffer_bytes() at least; the piece's data lies in it.  Of more than `most` bytes
  // whole records that fit, or the first.  Again without take(): the same, and what has come since.
  Look look(std::span<std::byte> room, Piece& piece, std::size_t most = kAllThereIs) noexcept {
    // An overwriting producer may be faster than our copy, time and again.
    for (int tries = 0; tries < kTries && !broken_; ++tries) {
      piece = {};
      const std::uint64_t commit = P::template load<Site::kSeeCommit>(in_.commit);
      if (!plausible(commit)) break;
      if (shape_.overwrite && !skip_given_up(commit)) continue;
      if (!before(next_, commit)) return look_for_losses(commit, piece);
      if (copy(commit, room, most, piece)) return found(piece, Look::kPiece);
    }
    if (!broken_) return Look::kEmpty;
    return Look::kBroken;
  }

  // What look() found has been dealt with.
  void take() noexcept {
    next_ = after_;
    delivered_ += found_records_;
    overwritten_ += found_losses_.overwritten;
    corrupt_ += found_losses_.corrupt;
    told_.full += found_losses_.full;
    told_.big += found_losses_.big;
    told_.state += found_losses_.state;
    told_.nested += found_losses_.nested;
    told_.bytes += found_losses_.bytes;
    if (found_header_) behind_ = spoiled_ = false;
    found(Piece{}, Look::kEmpty);
    publish();
  }

  StreamSums sums() const noexcept {
    return {delivered_, overwritten_, corrupt_,
            told_.full + told_.big + told_.state + told_.nested};
  }
  std::uint64_t position() const noexcept { return next_; }

  // Whether look() has something to look at; for those who wait.
  bool has_more() const noexcept {
    if (broken_) return false;
    return P::template load<Site::kSeeCommit>(in_.commit) != next_ ||
           P::template load<Site::kSeeLost>(in_.lost_full) != told_.full ||
           P::template load<Site::kSeeLost>(in_.lost_big) != told_.big ||
           P::template load<Site::kSeeLost>(in_.lost_state) != told_.state ||
           P::template load<Site::kSeeLost>(in_.lost_nested) > told_.nested;
  }

 private:
  static constexpr int kTries = 16;

  static bool before(std::uint64_t a, std::uint64_t b) noexcept {
    return static_cast<std::int64_t>(a - b) < 0;
  }

  // How many attempts have their end at next_.
  std::uint64_t settled() const noexcept {
    return delivered_ + overwritten_ + corrupt_ + told_.full + told_.big + told_.state;
  }

  Look found(const Piece& piece, Look look) noexcept {
    found_records_ = piece.records;
    found_losses_ = piece.losses;
    return look;
  }

  // Neither backwards nor further ahead than the stream is long.  Who has seen that bytes are given
  // up sees the `commit` that is past them.
  bool plausible(std::uint64_t commit) noexcept {
    const bool ahead = before(next_, commit) && commit - next_ > shape_.capacity();
    if (before(commit, commit_) || (shape_.overwrite ? before(commit, given_up_) : ahead)) {
      broken_ = true;
      return false;
    }
    commit_ = commit;
    return true;
  }

  // What the producer has given up is never read; how many records it was, the next header says.
  // False: look again.
  bool skip_given_up(std::uint64_t commit) noexcept {
    const std::uint64_t given_up = P::template load<Site::kSeeGivenUp>(in_.overwritten_to);
    const bool lapped = before(commit, given_up);  // since we looked at commit
    const bool ahead = !lapped && commit - given_up > shape_.capacity();
    if (given_up != shape_.begin_of(given_up) || before(given_up, given_up_) || ahead) {
      broken_ = true;
      return false;
    }
    given_up_ = given_up;
    if (lapped) return false;
    if (before(next_, given_up)) {
      next_ = given_up;
      behind_ = true;
    }
    return true;
  }

  bool still_there(std::uint64_t begin) const noexcept {
    if (!shape_.overwrite) return true;
    return !before(begin, P::template load<Site::kSeeGivenUp>(in_.overwritten_to));
  }

  void get(std::uint64_t position, void* to, std::size_t bytes) const noexcept {
    if (shape_.overwrite) {
      memory_.get_words(shape_.place(position), to, bytes);
    } else {
      memory_.get(shape_.place(position), to, bytes);
    }
  }

  // The seal, content and records, is the producer's to write until the sub-buffer is sealed.
  void get_header(std::uint64_t begin, bool fresh, bool sealed,
                  abi::RelaySubBuffer& header) const noexcept {
    constexpr std::size_t kSeal = offsetof(abi::RelaySubBuffer, content);
    constexpr std::size_t kSealEnd = offsetof(abi::RelaySubBuffer, begin_stamp);
    auto* to = reinterpret_cast<std::byte*>(&header);
    if (fresh) {
      get(begin, to, kSeal);
      get(begin + kSealEnd, to + kSealEnd, sizeof header - kSealEnd);
    }
    if (sealed) get(begin + kSeal, to + kSeal, kSealEnd - kSeal);
  }

  // From next_ to the end of what is there of its sub-buffer, or `most` of it.  False: look again.
  bool copy(std::uint64_t commit, std::span<std::byte> room, std::size_t most,
            Piece& piece) noexcept {
    const std::uint64_t begin = shape_.begin_of(next_);
    const std::uint64_t end = begin + shape_.sub_buffer_bytes();
    const bool fresh = next_ == begin;
    const bool sealed = before(end, commit);
    abi::RelaySubBuffer header{};
    get_header(begin, fresh, sealed, header);
    const std::uint64_t from = fresh ? begin + sizeof header : next_;
    const std::uint64_t limit = sealed ? begin + header.content : commit;
    const bool sound = limit >= from && limit <= end;
    const std::uint64_t there = limit - from;
    const std::uint64_t portion = portion_of(there, most);
    if (sound) get(from, room.data(), portion);
    if (!still_there(begin)) return false;
    if (!sound || (fresh && !begins_well(header, begin, piece.losses))) return give_up(end);
    piece.position = from;
    piece.first = settled() + piece.losses.settled() + 1;
    piece.data = room.first(portion);
    if (portion != there) return copied_part(from, there, room, fresh, piece) || give_up(end);
    if (!count_records(piece)) return give_up(end);
    found_header_ = fresh;
    after_ = sealed ? end : limit;
    if (piece.records != 0) return true;
    next_ = after_;
    return false;
  }

  // How much of what is there is copied at once.  While the producer overwrites: all, as it may be
  // gone the next time.
  std::uint64_t portion_of(std::uint64_t there, std::size_t most) const noexcept {
    if (there <= most || shape_.overwrite) [[likely]]
      return there;
    if (shape_.item_bytes == 0) return std::min(there, std::max(most, sizeof(abi::RelayRecord)));
    return most / 2 < item_stride_ ? std::min<std::uint64_t>(there, item_stride_)
                                   : std::uint64_t{items_in(most)} * item_stride_;
  }
  std::uint32_t items_in(std::size_t bytes) const noexcept {
    return static_cast<std::uint32_t>(bytes) / item_stride_;
  }

  // A part of what is there was copied: cut at the end of a record, or lengthened to that of the
  // first.  False: it cannot be read.
  bool copied_part(std::uint64_t from, std::uint64_t there, std::span<std::byte> room, bool fresh,
                   Piece& piece) noexcept {
    if (shape_.item_bytes != 0) {
      piece.records = piece.data.size() <= item_stride_ ? 1 : items_in(piece.data.size());
    } else {
      const std::uint64_t first = first_record(piece.data);
      if (first > there) return false;
      if (first > piece.data.size()) {
        get(from + piece.data.size(), room.data() + piece.data.size(), first - piece.data.size());
        piece.data = room.first(first);
      }
      if (!count_records(piece, true)) return false;
    }
    found_header_ = fresh;
    after_ = from + piece.data.size();
    return true;
  }

  // The rest of the sub-buffer cannot be read; the next header says how many records it was.
  bool give_up(std::uint64_t end) noexcept {
    next_ = end;
    spoiled_ = true;
    return false;
  }

  // A new sub-buffer: its header says what is missing before it.
  bool begins_well(const abi::RelaySubBuffer& header, std::uint64_t begin,
                   Losses& losses) const noexcept {
    if (header.magic != abi::kRelaySubBufferMagic || header.stream != shape_.stream ||
        header.number != begin >> shape_.sub_buffer_shift || !note_losses(header.losses, losses)) {
      return false;
    }
    const std::uint64_t ended = settled() + losses.settled();
    if (header.attempts < ended) return false;
    const std::uint64_t missing = header.attempts - ended;
    (behind_ ? losses.overwritten : losses.corrupt) = missing;
    return missing == 0 || behind_ || spoiled_;
  }

  // The difference to what has been told; false if a count runs backwards.
  bool note_losses(const abi::RelayLosses& lost, Losses& now) const noexcept {
    if (lost.full < told_.full || lost.big < told_.big || lost.state < told_.state) return false;
    now.full = lost.full - told_.full;
    now.big = lost.big - told_.big;
    now.state = lost.state - told_.state;
    // A header may lag behind: a handler loses after it is written and before it can be read, and
    // the position page tells of it meanwhile.
    now.nested = lost.nested > told_.nested ? lost.nested - told_.nested : 0;
    // A count of bytes may lag behind where the producer died between the two.
    now.bytes = lost.bytes > told_.bytes ? lost.bytes - told_.bytes : 0;
    if (now.full + now.big + now.state != 0) {
      now.first_stamp = lost.gap_first;
      now.last_stamp = lost.gap_last;
    }
    return true;
  }

  // Walks the records of the copy.  `cut`: its end may lie within a record, which is left out.
  bool count_records(Piece& piece, bool cut = false) const noexcept {
    if (shape_.item_bytes != 0) {
      piece.records = items_in(piece.data.size());
      return piece.data.size() == std::uint64_t{piece.records} * item_stride_;
    }
    std::uint64_t sequence = piece.first;
    std::size_t at = 0;
    while (at != piece.data.size()) {
      const std::uint64_t left = piece.data.size() - at;
      abi::RelayRecord record{};
      if (left >= sizeof record) std::memcpy(&record, piece.data.data() + at, sizeof record);
      const bool starts =
          record.bytes >= sizeof record && record.sequence == static_cast<std::uint16_t>(sequence);
      const bool fits = left >= sizeof record && round_up_8(record.bytes) <= left;
      if (!fits && cut && at != 0 && (starts || left < sizeof record)) {
        piece.data = piece.data.first(at);
        return true;
      }
      if (!starts || !fits) return false;
      at += round_up_8(record.bytes);
      ++sequence;
      ++piece.records;
    }
    return true;
  }

  // What the first record takes; 0 for what is none.
  static std::uint64_t first_record(std::span<const std::byte> data) noexcept {
    if (data.size() < sizeof(abi::RelayRecord)) return 0;
    std::uint32_t bytes;
    std::memcpy(&bytes, data.data() + offsetof(abi::RelayRecord, bytes), sizeof bytes);
    return round_up_8(bytes);
  }

  // Nothing more to read: what has been lost since?  If `commit` has not moved when the losses were
  // read, they came after all that was read.
  Look look_for_losses(std::uint64_t commit, Piece& piece) noexcept {
    found(piece, Look::kEmpty);
    if (next_ != commit) return Look::kEmpty;
    abi::RelayLosses lost{};
    lost.full = P::template load<Site::kSeeLost>(in_.lost_full);
    lost.big = P::template load<Site::kSeeLost>(in_.lost_big);
    lost.state = P::template load<Site::kSeeLost>(in_.lost_state);
    lost.nested = P::template load<Site::kSeeLost>(in_.lost_nested);
    lost.bytes = P::template load<Site::kSeeLost>(in_.lost_bytes);
    lost.gap_first = P::template load<Site::kSeeLost>(in_.gap_first);
    lost.gap_last = P::template load<Site::kSeeLost>(in_.gap_last);
    if (P::template load<Site::kSeeCommit>(in_.commit) != commit) return Look::kEmpty;
    if (!note_losses(lost, piece.losses)) {
      broken_ = true;
      return Look::kBroken;
    }
    if (piece.losses.records() == 0) return Look::kEmpty;
    piece.position = after_ = next_;
    piece.first = settled() + piece.losses.settled() + 1;
    found_header_ = false;
    return found(piece, Look::kLosses);
  }

  // Continues from what the last consumer noted as taken.
  void adopt(std::uint64_t first) noexcept {
    const std::uint64_t turn = P::template load<Site::kSeeTurn>(out_.turn);
    const auto& taken = out_.taken[turn & 1];
    turn_ = turn;
    next_ = first + P::template load<Site::kSeeTaken>(taken.position);
    delivered_ = P::template load<Site::kSeeTaken>(taken.delivered);
    overwritten_ = P::template load<Site::kSeeTaken>(taken.overwritten);
    corrupt_ = P::template load<Site::kSeeTaken>(taken.corrupt);
    told_.full = P::template load<Site::kSeeTaken>(taken.lost_full);
    told_.big = P::template load<Site::kSeeTaken>(taken.lost_big);
    told_.state = P::template load<Site::kSeeTaken>(taken.lost_state);
    told_.nested = P::template load<Site::kSeeTaken>(taken.lost_nested);
    told_.bytes = P::template load<Site::kSeeTaken>(taken.lost_bytes);
    after_ = next_;
    first_ = first;
    // Notes lie where the producer can write, too; a position beyond commit is found by look().
    broken_ = shape_.overwrite && next_ % sizeof(std::uint64_t) != 0;
    commit_ = next_;
    given_up_ = first;
    P::template store<Site::kConsume>(out_.consumed, next_);
  }

  // One store makes all of it valid; only then may the producer reuse the bytes.
  void publish() noexcept {
    auto& taken = out_.taken[(turn_ + 1) & 1];
    P::template store<Site::kNoteTaken>(taken.position, next_ - first_);
    P::template store<Site::kNoteTaken>(taken.delivered, delivered_);
    P::template store<Site::kNoteTaken>(taken.overwritten, overwritten_);
    P::template store<Site::kNoteTaken>(taken.corrupt, corrupt_);
    P::template store<Site::kNoteTaken>(taken.lost_full, told_.full);
    P::template store<Site::kNoteTaken>(taken.lost_big, told_.big);
    P::template store<Site::kNoteTaken>(taken.lost_state, told_.state);
    P::template store<Site::kNoteTaken>(taken.lost_nested, told_.nested);
    P::template store<Site::kNoteTaken>(taken.lost_bytes, told_.bytes);
    P::template store<Site::kTurn>(out_.turn, ++turn_);
    P::template store<Site::kConsume>(out_.consumed, next_);
  }

  const StreamShape shape_;
  const std::uint32_t item_stride_ = static_cast<std::uint32_t>(stride_of(shape_, 0));
  const Memory memory_;
  const typename P::StreamIn& in_;
  typename P::StreamOut& out_;
  bool broken_ = false;
  bool behind_ = false;        // sub-buffers were given up before we read them
  bool spoiled_ = false;       // or could not be read
  bool found_header_ = false;  // what look() found begins a sub-buffer
  std::uint32_t found_records_ = 0;
  Losses found_losses_;
  std::uint64_t first_ = 0;
  std::uint64_t next_ = 0;      // to be read
  std::uint64_t after_ = 0;     // next_ once what look() found is taken
  std::uint64_t commit_ = 0;    // as last seen
  std::uint64_t given_up_ = 0;  // as last seen
  std::uint64_t turn_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t overwritten_ = 0;
  std::uint64_t corrupt_ = 0;
  abi::RelayLosses told_{};
};

}  // namespace fairlead::relay
