// SPDX-License-Identifier: Apache-2.0
//
// For tests: one stream in private memory with both its ends, whose records are strings.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "relay/stream_reader.h"
#include "relay/stream_writer.h"

namespace fairlead::relay {

// For tests of every kind of stream.
struct StreamKind {
  bool overwrite = false;
  std::uint32_t item_bytes = 0;
};

inline std::string name_of(const StreamKind& kind) {
  return std::string(kind.overwrite ? "Overwrite" : "Discard") +
         (kind.item_bytes != 0 ? "Items" : "Records");
}

struct TestStreamOptions {
  std::uint32_t item_bytes = 0;
  bool overwrite = false;
  bool connected = true;
  bool keep = false;
  std::uint64_t first = 0;  // where positions begin
  std::uint32_t shift = 12;
  std::uint32_t sub_buffers = 4;
};

template <typename P>
class BasicTestStream {
 public:
  explicit BasicTestStream(const TestStreamOptions& options = {})
      : shape_{0, options.shift, options.sub_buffers, options.item_bytes, options.overwrite},
        first_(options.first),
        bytes_(shape_.capacity() / sizeof(std::uint64_t)),
        in_(std::make_unique<typename P::StreamIn>()),
        out_(std::make_unique<typename P::StreamOut>()),
        room_(shape_.sub_buffer_bytes()) {
    in_->commit = options.first;
    in_->overwritten_to = options.first;
    if (options.connected) connect();
    writer_ = std::make_unique<Writer>(shape_, memory(), *in_, *out_, consumer_, options.keep,
                                       options.first);
    new_reader();
  }

  using Writer = BasicStreamWriter<P>;
  using Reader = BasicStreamReader<P>;

  Written write(std::string_view record, std::uint64_t stamp = 1) {
    const Written outcome = writer_->write(7, stamp, record.data(), record.size());
    ++writes_;
    return outcome;
  }

  // Writes until one is lost; how many were not.
  std::size_t fill(std::string_view record, std::uint64_t stamp = 1) {
    std::size_t written = 0;
    while (written < kMost && write(record, stamp) == Written::kDone) ++written;
    return written;
  }

  Look look(Piece& piece, std::size_t most = kAllThereIs) {
    return reader_->look(room_, piece, most);
  }

  // Records, and for losses a line such as "lost: 2 full".
  std::vector<std::string> read_all(std::size_t most = kAllThereIs) {
    std::vector<std::string> all;
    Piece piece;
    for (std::size_t looks = 0; looks < kMost; ++looks) {
      const Look look = this->look(piece, most);
      if (look == Look::kBroken) all.emplace_back("broken");
      if (look != Look::kPiece && look != Look::kLosses) return all;
      describe(piece.losses, all);
      split(piece, all);
      reader_->take();
    }
    all.emplace_back("endless");
    return all;
  }

  bool adds_up() const {
    const auto sums = reader_->sums();
    return sums.delivered + sums.overwritten + sums.corrupt + sums.lost == writes_;
  }

  void connect() { set(abi::RelayConsumerState::kConnected); }
  void disconnect() { set(abi::RelayConsumerState::kDisconnected); }
  void new_reader() { reader_ = std::make_unique<Reader>(shape_, memory(), *in_, *out_, first_); }

  Writer& writer() { return *writer_; }
  Reader& reader() { return *reader_; }
  typename P::StreamIn& in() { return *in_; }
  typename P::StreamOut& out() { return *out_; }
  std::byte* data() { return reinterpret_cast<std::byte*>(bytes_.data()); }
  std::vector<std::byte>& room() { return room_; }
  const StreamShape& shape() const { return shape_; }
  typename P::Memory memory() { return typename P::Memory(data()); }

 private:
  static constexpr std::size_t kMost = 100'000;  // no test has as many records, or pieces

  void set(abi::RelayConsumerState state) { consumer_ = static_cast<std::uint32_t>(state); }

  static void describe(const Losses& losses, std::vector<std::string>& all) {
    const auto one = [&](std::uint64_t count, const char* cause) {
      if (count != 0) all.push_back("lost: " + std::to_string(count) + " " + cause);
    };
    one(losses.full, "full");
    one(losses.big, "big");
    one(losses.state, "state");
    one(losses.nested, "nested");
    one(losses.overwritten, "overwritten");
    one(losses.corrupt, "corrupt");
  }

  void split(const Piece& piece, std::vector<std::string>& all) const {
    const char* at = reinterpret_cast<const char*>(piece.data.data());
    const char* end = at + piece.data.size();
    while (at != end) {
      if (shape_.item_bytes != 0) {
        all.emplace_back(at, shape_.item_bytes);
        at += stride_of(shape_, 0);
      } else {
        abi::RelayRecord record;
        std::memcpy(&record, at, sizeof record);
        all.emplace_back(at + sizeof record, record.bytes - sizeof record);
        at += round_up_8(record.bytes);
      }
    }
  }

  const StreamShape shape_;
  const std::uint64_t first_;
  std::vector<std::uint64_t> bytes_;
  std::unique_ptr<typename P::StreamIn> in_;
  std::unique_ptr<typename P::StreamOut> out_;
  typename P::Word32 consumer_{0};
  std::vector<std::byte> room_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Reader> reader_;
  std::uint64_t writes_ = 0;
};

using TestStream = BasicTestStream<Production>;

}  // namespace fairlead::relay
