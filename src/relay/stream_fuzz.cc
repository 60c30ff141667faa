// SPDX-License-Identifier: Apache-2.0
//
// A stream whose peer is hostile: the input is a script of honest writes and reads, and of stores
// of any value into whatever the peer can write.
//
// Against a hostile producer a reader reads within its stream and writes within its room, does
// bounded work, delivers no more bytes between two looks at commit than a stream is long, and what
// is broken stays so.  Against a hostile consumer a writer writes within its stream, and all it
// says of itself stays true.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

#include "base/check.h"
#include "base/fuzz_input.h"
#include "relay/stream_reader.h"
#include "relay/stream_writer.h"

namespace fairlead::relay {
namespace {

std::uint64_t stream_bytes = 0;
std::uint64_t accesses = 0;     // since this was last set to zero
std::uint64_t last_commit = 0;  // as a reader last saw it

// Holds every access against the stream, before AddressSanitizer does.
class CheckedMemory : public SharedMemory {
 public:
  using SharedMemory::SharedMemory;

  void put(std::uint64_t offset, const void* from, std::size_t bytes) noexcept {
    check(offset, bytes);
    SharedMemory::put(offset, from, bytes);
  }
  void get(std::uint64_t offset, void* to, std::size_t bytes) const noexcept {
    check(offset, bytes);
    SharedMemory::get(offset, to, bytes);
  }
  void put_words(std::uint64_t offset, const void* from, std::size_t bytes) noexcept {
    check_words(offset, bytes);
    SharedMemory::put_words(offset, from, bytes);
  }
  void get_words(std::uint64_t offset, void* to, std::size_t bytes) const noexcept {
    check_words(offset, bytes);
    SharedMemory::get_words(offset, to, bytes);
  }

 private:
  static void check(std::uint64_t offset, std::uint64_t bytes) {
    ++accesses;
    FL_CHECK(offset <= stream_bytes && bytes <= stream_bytes - offset);
  }
  static void check_words(std::uint64_t offset, std::uint64_t bytes) {
    FL_CHECK(offset % 8 == 0);
    check(offset, round_up_8(bytes));
  }
};

struct Checked : Production {
  using Memory = CheckedMemory;
  template <auto kSite, typename T>
  static T load(const std::atomic<T>& word) noexcept {
    ++accesses;
    const T value = Production::load<kSite>(word);
    if constexpr (kSite == Site::kSeeCommit) last_commit = value;
    return value;
  }
};

using CheckedWriter = BasicStreamWriter<Checked>;
using CheckedReader = BasicStreamReader<Checked>;

class Script {
 public:
  explicit Script(base::FuzzInput& input) : input_(input) {
    const std::uint8_t how = input.byte();
    shape_.sub_buffer_shift = 8 + how / 4 % 2;
    shape_.sub_buffers = 2u << how / 8 % 2;
    shape_.overwrite = how % 2 != 0;
    if (how / 2 % 2 != 0) shape_.item_bytes = 1 + input.byte() % 64;
    if (how / 16 % 2 != 0) first_ = (std::uint64_t{1} << 63) - shape_.sub_buffer_bytes();
    stream_bytes = shape_.capacity();
    data_ = std::make_unique<std::uint64_t[]>(stream_bytes / 8);
    room_ = std::make_unique<std::byte[]>(shape_.sub_buffer_bytes());
    in_->commit = in_->overwritten_to = first_;
    consumer_ = static_cast<std::uint32_t>(abi::RelayConsumerState::kConnected);
    writer_.emplace(shape_, memory(), *in_, *out_, consumer_, how / 32 % 2 != 0, first_);
    new_reader();
  }

  static constexpr std::size_t kMost[] = {kAllThereIs, 1, 16, 26, 64, 100, 500, 3000};

  void hostile_producer() {
    while (!input_.empty()) {
      const std::uint8_t step = input_.byte();
      switch (step % 8) {
        case 0: write(); break;
        case 1: wild_position(); break;
        case 2: wild_header(); break;
        case 3: input_word(at_word(input_.take<std::uint16_t>())); break;
        case 4: wild_commit(step); break;
        case 5:
          if (step / 8 % 8 == 0) new_reader();
          if (step / 8 % 8 == 1) wild_note();
          if (step / 8 % 8 == 2) endless();
          break;
        default: look(step / 8 % 4 != 0, kMost[step / 32]);
      }
    }
    for (int i = 0; i < 4; ++i) look(true);
  }

  void hostile_consumer() {
    while (!input_.empty()) {
      const std::uint8_t step = input_.byte();
      switch (step % 8) {
        case 0: input_word(out_->consumed); break;
        case 1: out_->consumed = in_->commit - (step & ~7); break;
        case 2: out_->consumed = out_->consumed + shape_.sub_buffer_bytes(); break;
        case 3: consumer_ = step / 8 % 4; break;
        case 4:
          if (step / 8 == 0) writer_->close();
          break;
        default: write_checked();
      }
    }
  }

 private:
  CheckedMemory memory() { return CheckedMemory(reinterpret_cast<std::byte*>(data_.get())); }

  void new_reader() {
    reader_.emplace(shape_, memory(), *in_, *out_, first_);
    broken_ = false;
    delivered_ = 0;
    taken_ = reader_->position();
  }

  std::uint64_t& at_word(std::uint64_t index) { return data_[index % (stream_bytes / 8)]; }

  // Most lies lie near the truth.
  template <typename T>
  void input_word(T& word) {
    const std::uint8_t how = input_.byte();
    const std::uint64_t before = word;
    word = how < 0x40   ? before + how
           : how < 0x80 ? before - how % 0x40
           : how < 0xa0 ? before + (how % 0x20) * shape_.sub_buffer_bytes()
           : how < 0xb0 ? before - (how % 0x10) * shape_.sub_buffer_bytes()
                        : input_.take<std::uint64_t>();
  }

  Written write() {
    std::array<std::byte, 600> payload{};
    std::size_t bytes = input_.byte();
    if (bytes >= 0xf0) bytes = payload.size();
    if (shape_.item_bytes != 0 && bytes % 4 != 0) bytes = shape_.item_bytes;
    payload.fill(std::byte{static_cast<unsigned char>(bytes)});
    return writer_->write(7, 1, payload.data(), bytes);
  }

  void wild_position() {
    std::atomic<std::uint64_t>* words[] = {
        &in_->commit,      &in_->attempts,   &in_->lost_full, &in_->lost_big, &in_->lost_state,
        &in_->lost_nested, &in_->lost_bytes, &in_->gap_first, &in_->gap_last, &in_->overwritten_to};
    input_word(*words[input_.byte() % std::size(words)]);
  }

  // What the next reader continues from: who made the memory can write all of it.
  void wild_note() {
    abi::RelayTaken& taken = out_->taken[input_.byte() % 2];
    std::atomic<std::uint64_t>* words[] = {&out_->turn,       &taken.position,   &taken.delivered,
                                           &taken.corrupt,    &taken.lost_full,  &taken.lost_big,
                                           &taken.lost_state, &taken.lost_nested};
    input_word(*words[input_.byte() % std::size(words)]);
  }

  // Sub-buffers without end, each made to please the reader, behind a commit that does not move.
  void endless() {
    if (input_.byte() % 2 == 0) in_->commit = in_->commit + 4 * shape_.capacity();
    for (std::uint32_t i = 0; i < 2 * shape_.sub_buffers; ++i) {
      forge(shape_.begin_of(reader_->position() + shape_.sub_buffer_bytes() - 1));
      look(true);
    }
  }

  // One full sub-buffer, with one record.
  void forge(std::uint64_t begin) {
    const auto& taken = out_->taken[out_->turn % 2];
    abi::RelaySubBuffer header{};
    header.magic = abi::kRelaySubBufferMagic;
    header.number = begin >> shape_.sub_buffer_shift;
    header.losses.full = taken.lost_full;
    header.losses.big = taken.lost_big;
    header.losses.state = taken.lost_state;
    header.attempts = taken.delivered + taken.overwritten + taken.corrupt + header.losses.full +
                      header.losses.big + header.losses.state;
    const std::uint64_t room = shape_.sub_buffer_bytes() - sizeof header;
    const std::uint64_t used = shape_.item_bytes != 0 ? stride_of(shape_, 0) : room;
    header.content = static_cast<std::uint32_t>(sizeof header + used);
    const abi::RelayRecord record{static_cast<std::uint32_t>(room), 7,
                                  static_cast<std::uint16_t>(header.attempts + 1), 1};
    std::byte* at = reinterpret_cast<std::byte*>(data_.get()) + shape_.place(begin);
    std::memcpy(at, &header, sizeof header);
    std::memcpy(at + sizeof header, &record, sizeof record);
  }

  // A word of a sub-buffer's header.
  void wild_header() {
    const std::uint64_t which = input_.byte();
    const std::uint64_t word = which % (sizeof(abi::RelaySubBuffer) / 8);
    input_word(at_word((which / 16 << shape_.sub_buffer_shift) / 8 + word));
  }

  // Forward by a little, as if something had been written; in mode overwrite given up as is due.
  void wild_commit(std::uint8_t step) {
    const std::uint64_t commit = in_->commit + (step & ~7);
    in_->commit = commit;
    const std::uint64_t end = shape_.begin_of(commit + shape_.sub_buffer_bytes() - 1);
    if (shape_.overwrite && end - first_ > shape_.capacity()) {
      in_->overwritten_to = end - shape_.capacity();
    }
  }

  void look(bool take, std::size_t most = kAllThereIs) {
    Piece piece;
    accesses = 0;
    const std::uint64_t before = last_commit;
    const Look look = reader_->look({room_.get(), shape_.sub_buffer_bytes()}, piece, most);
    FL_CHECK(accesses < 200);
    if (last_commit != before) delivered_ = 0;
    FL_CHECK(!broken_ || look == Look::kBroken);
    broken_ = look == Look::kBroken;
    if (look == Look::kLosses) FL_CHECK(piece.data.empty() && piece.losses.records() != 0);
    if (look == Look::kPiece) check(piece);
    if (!take || (look != Look::kPiece && look != Look::kLosses)) return;
    reader_->take();
    delivered_ += piece.data.size();
    FL_CHECK(delivered_ <= stream_bytes);
    FL_CHECK(out_->consumed == reader_->position());
    FL_CHECK(static_cast<std::int64_t>(reader_->position() - taken_) >= 0);
    taken_ = reader_->position();
  }

  // Whole records, within the room and within one sub-buffer.
  void check(const Piece& piece) const {
    FL_CHECK(piece.records != 0 && !piece.data.empty());
    FL_CHECK(piece.data.data() >= room_.get());
    FL_CHECK(piece.data.data() + piece.data.size() <= room_.get() + shape_.sub_buffer_bytes());
    FL_CHECK(shape_.begin_of(piece.position) ==
             shape_.begin_of(piece.position + piece.data.size() - 1));
    if (shape_.item_bytes != 0) {
      FL_CHECK(piece.data.size() == piece.records * stride_of(shape_, 0));
      return;
    }
    std::size_t at = 0;
    for (std::uint32_t i = 0; i < piece.records; ++i) {
      abi::RelayRecord record;
      FL_CHECK(piece.data.size() - at >= sizeof record);
      std::memcpy(&record, piece.data.data() + at, sizeof record);
      FL_CHECK(record.bytes >= sizeof record);
      at += round_up_8(record.bytes);
      FL_CHECK(at <= piece.data.size());
    }
    FL_CHECK(at == piece.data.size());
  }

  // What the writer says is true of what it was asked, whatever the consumer says.
  void write_checked() {
    const std::uint64_t commit = in_->commit;
    accesses = 0;
    const Written outcome = write();
    FL_CHECK(accesses < 20);
    ++writes_;
    written_ += outcome == Written::kDone;
    FL_CHECK(in_->attempts == writes_);
    FL_CHECK(in_->lost_full + in_->lost_big + in_->lost_state == writes_ - written_);
    FL_CHECK((outcome == Written::kDone) == (in_->commit != commit));
    FL_CHECK(in_->commit - commit <= 2 * shape_.sub_buffer_bytes());
  }

  base::FuzzInput& input_;
  StreamShape shape_;
  std::uint64_t first_ = 0;
  std::unique_ptr<std::uint64_t[]> data_;
  std::unique_ptr<std::byte[]> room_;
  std::unique_ptr<abi::RelayStreamIn> in_ = std::make_unique<abi::RelayStreamIn>();
  std::unique_ptr<abi::RelayStreamOut> out_ = std::make_unique<abi::RelayStreamOut>();
  std::atomic<std::uint32_t> consumer_{0};
  std::optional<CheckedWriter> writer_;
  std::optional<CheckedReader> reader_;
  bool broken_ = false;
  std::uint64_t delivered_ = 0;  // bytes, since commit last changed
  std::uint64_t taken_ = 0;
  std::uint64_t writes_ = 0;
  std::uint64_t written_ = 0;
};

}  // namespace
}  // namespace fairlead::relay

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fairlead::base::FuzzInput input(data, size);
  const bool consumer = input.byte() % 4 == 0;
  fairlead::relay::Script script(input);
  consumer ? script.hostile_consumer() : script.hostile_producer();
  return 0;
}
