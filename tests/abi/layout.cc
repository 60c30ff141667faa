// SPDX-License-Identifier: Apache-2.0
//
// Prints every layout of include/fairlead/abi, for tests/abi/layout.golden.  Fails where a struct
// has a hole: bytes that no field names are bytes that nobody zeroes.
//
// `tests/abi/check.py complete` holds this list against the headers, so that none can be left out.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <type_traits>

#include "fairlead/abi/block.h"
#include "fairlead/abi/control.h"
#include "fairlead/abi/relay.h"
#include "fairlead/abi/ring.h"
#include "fairlead/abi/segment.h"
#include "fairlead/abi/trace.h"
#include "fairlead/abi/trace_port.h"

using namespace fairlead::abi;

namespace {

bool sound = true;

class Struct {
 public:
  Struct(const char* name, std::size_t bytes, std::size_t alignment) : name_(name), bytes_(bytes) {
    std::printf("struct %s  %zu bytes, aligned to %zu\n", name, bytes, alignment);
  }
  Struct(const Struct&) = delete;
  Struct& operator=(const Struct&) = delete;
  ~Struct() {
    if (end_ != bytes_) report("the end", end_);
    std::printf("\n");
  }

  void field(const char* name, std::size_t offset, std::size_t bytes) {
    std::printf("  %4zu %4zu  %s\n", offset, bytes, name);
    if (offset != end_) report(name, offset);
    end_ = offset + bytes;
  }

 private:
  void report(const char* where, std::size_t offset) const {
    std::fprintf(stderr, "abi layout: %s has a hole before %s, at byte %zu\n", name_, where,
                 offset);
    sound = false;
  }

  const char* name_;
  std::size_t bytes_;
  std::size_t end_ = 0;
};

template <typename Enum>
void enumerator(const char* name, Enum value) {
  std::printf("  %4llu  %s\n", static_cast<unsigned long long>(value), name);
}

template <typename T>
void constant(const char* name, T value) {
  std::printf("const %s  %zu bytes  0x%llx\n", name, sizeof value,
              static_cast<unsigned long long>(value));
}

#define FIELD(name) fields.field(#name, offsetof(Layout, name), sizeof(Layout::name))
#define STRUCT(Name)   \
  using Layout = Name; \
  Struct fields(#Name, sizeof(Name), alignof(Name))
#define ENUM(Name)    \
  using Names = Name; \
  std::printf("enum %s  %zu bytes\n", #Name, sizeof(Name))
#define VALUE(name) enumerator(#name, Names::name)
#define CONST(name) constant(#name, name)

void segment() {
  std::printf("# segment.h\n\n");
  CONST(kSegmentMagic);
  CONST(kSegmentMajor);
  CONST(kSegmentMinor);
  CONST(kMaxSections);
  CONST(kSectionAlignment);
  std::printf("\n");
  {
    ENUM(SectionKind);
    VALUE(kFree);
    VALUE(kRing);
    VALUE(kRequests);
    VALUE(kResponses);
    VALUE(kData);
    VALUE(kRelayShape);
    VALUE(kRelayProducer);
    VALUE(kRelayConsumer);
    VALUE(kRelayStreams);
    VALUE(kMarks);
    std::printf("\n");
  }
  {
    STRUCT(Section);
    FIELD(kind);
    FIELD(reserved);
    FIELD(offset);
    FIELD(bytes);
  }
  {
    STRUCT(SegmentHeader);
    FIELD(magic);
    FIELD(version_major);
    FIELD(version_minor);
    FIELD(header_bytes);
    FIELD(segment_bytes);
    FIELD(generation);
    FIELD(features);
    FIELD(section_count);
    FIELD(reserved);
  }
}

void ring() {
  std::printf("# ring.h\n\n");
  CONST(kMinSlots);
  CONST(kMaxSlots);
  CONST(kMinDataBytes);
  CONST(kMaxDataBytes);
  std::printf("\n");
  {
    STRUCT(RingShape);
    FIELD(slot_count);
    FIELD(request_bytes);
    FIELD(response_bytes);
    FIELD(data_bytes);
    FIELD(reserved);
  }
  {
    STRUCT(RingFrontLine);
    FIELD(request_produced);
    FIELD(response_event);
    FIELD(reserved);
  }
  {
    STRUCT(RingBackLine);
    FIELD(response_produced);
    FIELD(request_event);
    FIELD(may_poll);
    FIELD(trace);
    FIELD(reserved);
  }
  {
    STRUCT(RingMark);
    FIELD(id);
    FIELD(called);
    FIELD(posted);
    FIELD(seen);
    FIELD(reserved);
  }
  {
    STRUCT(RingControl);
    FIELD(shape);
    FIELD(pad);
    FIELD(front);
    FIELD(back);
  }
}

void block() {
  std::printf("# block.h\n\n");
  CONST(kSectorBytes);
  std::printf("\n");
  {
    ENUM(BlockOp);
    VALUE(kNone);
    VALUE(kIdentify);
    VALUE(kRead);
    VALUE(kWrite);
    VALUE(kFlush);
    VALUE(kDiscard);
    std::printf("\n");
  }
  {
    ENUM(BlockStatus);
    VALUE(kOk);
    VALUE(kIoError);
    VALUE(kOutOfRange);
    VALUE(kUnsupported);
    VALUE(kReadOnly);
    VALUE(kInvalid);
    std::printf("\n");
  }
  {
    STRUCT(BlockRequest);
    FIELD(id);
    FIELD(sector);
    FIELD(sector_count);
    FIELD(slot);
    FIELD(op);
    FIELD(flags);
    FIELD(core);
    FIELD(thread);
  }
  {
    STRUCT(BlockResponse);
    FIELD(id);
    FIELD(bytes);
    FIELD(status);
    FIELD(reserved);
  }
  {
    STRUCT(BlockGeometry);
    FIELD(first_sector);
    FIELD(last_sector);
    FIELD(sector_bytes);
    FIELD(max_sectors);
    FIELD(optimal_alignment);
    FIELD(operations);
    FIELD(reserved);
  }
}

void control() {
  std::printf("# control.h\n\n");
  CONST(kControlMagic);
  CONST(kControlMajor);
  CONST(kControlMinor);
  CONST(kMaxReportBytes);
  CONST(kMaxWeight);
  std::printf("\n");
  {
    ENUM(ControlType);
    VALUE(kNone);
    VALUE(kHello);
    VALUE(kWelcome);
    VALUE(kRefused);
    VALUE(kQueryStatus);
    VALUE(kQueryStop);
    VALUE(kReport);
    std::printf("\n");
  }
  {
    STRUCT(ControlHeader);
    FIELD(magic);
    FIELD(version_major);
    FIELD(version_minor);
    FIELD(type);
    FIELD(bytes);
  }
  {
    STRUCT(ControlHello);
    FIELD(header);
    FIELD(slots);
    FIELD(data_bytes);
    FIELD(weight);
    FIELD(features);
    FIELD(name);
  }
  {
    STRUCT(ControlWelcome);
    FIELD(header);
    FIELD(generation);
    FIELD(segment_bytes);
    FIELD(client);
    FIELD(features);
    FIELD(reserved);
  }
  {
    STRUCT(ControlRefused);
    FIELD(header);
    FIELD(reason);
    FIELD(reserved);
    FIELD(text);
  }
}

void relay() {
  std::printf("# relay.h\n\n");
  CONST(kMaxRelayStreams);
  CONST(kRelayPageBytes);
  CONST(kMinSubBufferBytes);
  CONST(kMaxSubBufferBytes);
  CONST(kMinSubBuffers);
  CONST(kMaxSubBuffers);
  CONST(kMaxItemBytes);
  CONST(kRelaySubBufferMagic);
  std::printf("\n");
  {
    ENUM(RelayMode);
    VALUE(kDiscard);
    VALUE(kOverwrite);
    std::printf("\n");
  }
  {
    ENUM(RelayClock);
    VALUE(kTsc);
    VALUE(kMonotonicRaw);
    std::printf("\n");
  }
  {
    STRUCT(RelayShape);
    FIELD(streams);
    FIELD(sub_buffer_bytes);
    FIELD(sub_buffers);
    FIELD(item_bytes);
    FIELD(mode);
    FIELD(clock);
    FIELD(clock_hz);
    FIELD(uuid);
    FIELD(reserved);
  }
  {
    STRUCT(RelayLosses);
    FIELD(full);
    FIELD(big);
    FIELD(state);
    FIELD(nested);
    FIELD(bytes);
    FIELD(gap_first);
    FIELD(gap_last);
  }
  {
    STRUCT(RelayStreamIn);
    FIELD(commit);
    FIELD(attempts);
    FIELD(lost_full);
    FIELD(lost_big);
    FIELD(lost_state);
    FIELD(lost_nested);
    FIELD(lost_bytes);
    FIELD(gap_first);
    FIELD(gap_last);
    FIELD(overwritten_to);
    FIELD(reserved);
  }
  {
    STRUCT(RelayTaken);
    FIELD(position);
    FIELD(delivered);
    FIELD(overwritten);
    FIELD(corrupt);
    FIELD(lost_full);
    FIELD(lost_big);
    FIELD(lost_state);
    FIELD(lost_nested);
    FIELD(lost_bytes);
  }
  {
    STRUCT(RelayStreamOut);
    FIELD(consumed);
    FIELD(turn);
    FIELD(taken);
  }
  {
    ENUM(RelayProducerState);
    VALUE(kOpen);
    VALUE(kClosing);
    VALUE(kClosed);
    std::printf("\n");
  }
  {
    ENUM(RelayConsumerState);
    VALUE(kNone);
    VALUE(kConnected);
    VALUE(kDisconnected);
    std::printf("\n");
  }
  {
    STRUCT(RelayProducerSide);
    FIELD(state);
    FIELD(pid);
    FIELD(heartbeat);
    FIELD(no_stream);
    FIELD(reserved);
  }
  {
    STRUCT(RelayConsumerSide);
    FIELD(state);
    FIELD(pid);
    FIELD(epoch);
    FIELD(reserved);
  }
  {
    STRUCT(RelaySyncIn);
    FIELD(stamp);
    FIELD(round);
    FIELD(reserved);
  }
  {
    STRUCT(RelaySyncOut);
    FIELD(round);
    FIELD(reserved);
  }
  {
    STRUCT(RelayProducerPage);
    FIELD(streams);
    FIELD(reserved);
    FIELD(side);
    FIELD(sync);
  }
  {
    STRUCT(RelayConsumerPage);
    FIELD(streams);
    FIELD(side);
    FIELD(sync);
  }
  {
    STRUCT(RelaySubBuffer);
    FIELD(magic);
    FIELD(stream);
    FIELD(number);
    FIELD(content);
    FIELD(records);
    FIELD(begin_stamp);
    FIELD(attempts);
    FIELD(losses);
    FIELD(reserved);
  }
  {
    STRUCT(RelayRecord);
    FIELD(bytes);
    FIELD(type);
    FIELD(sequence);
    FIELD(stamp);
  }
}

void trace() {
  std::printf("# trace.h\n\n");
  CONST(kServiceFrontDevice);
  CONST(kServiceBackDevice);
  std::printf("\n");
  {
    ENUM(TraceType);
    VALUE(kBlock);
    VALUE(kName);
    VALUE(kDevice);
    VALUE(kLoss);
    std::printf("\n");
  }
  {
    ENUM(BlockAct);
    VALUE(kQueue);
    VALUE(kBackMerge);
    VALUE(kFrontMerge);
    VALUE(kGetRequest);
    VALUE(kRequeue);
    VALUE(kIssue);
    VALUE(kComplete);
    VALUE(kPlug);
    VALUE(kUnplug);
    VALUE(kInsert);
    VALUE(kSplit);
    VALUE(kRemap);
    std::printf("\n");
  }
  {
    ENUM(BlockCategory);
    VALUE(kRead);
    VALUE(kWrite);
    VALUE(kFlush);
    VALUE(kSync);
    VALUE(kQueue);
    VALUE(kRequeue);
    VALUE(kIssue);
    VALUE(kComplete);
    VALUE(kAhead);
    VALUE(kMeta);
    VALUE(kDiscard);
    VALUE(kFua);
    std::printf("\n");
  }
  {
    STRUCT(BlockEvent);
    FIELD(sector);
    FIELD(request);
    FIELD(aux);
    FIELD(bytes);
    FIELD(action);
    FIELD(device);
    FIELD(pid);
    FIELD(cpu);
    FIELD(error);
    FIELD(queue);
    FIELD(vm);
  }
  {
    STRUCT(TraceName);
    FIELD(pid);
    FIELD(name);
    FIELD(reserved);
  }
  {
    STRUCT(TraceDevice);
    FIELD(device);
    FIELD(name);
  }
  {
    ENUM(TraceLossCause);
    VALUE(kFull);
    VALUE(kBig);
    VALUE(kState);
    VALUE(kNested);
    VALUE(kOverwritten);
    VALUE(kCorrupt);
    VALUE(kKernel);
    std::printf("\n");
  }
  {
    STRUCT(TraceLoss);
    FIELD(records);
    FIELD(bytes);
    FIELD(first_stamp);
    FIELD(last_stamp);
    FIELD(cause);
    FIELD(reserved);
  }
}

void trace_port() {
  std::printf("# trace_port.h\n\n");
  CONST(kPortQuestionMagic);
  std::printf("\n");
  {
    ENUM(PortType);
    VALUE(kHello);
    VALUE(kAnswer);
    VALUE(kEnd);
    std::printf("\n");
  }
  {
    STRUCT(PortHello);
    FIELD(session);
    FIELD(reserved);
  }
  {
    STRUCT(PortAnswer);
    FIELD(round);
    FIELD(reserved);
  }
  {
    STRUCT(PortEnd);
    FIELD(records);
    FIELD(lost);
    FIELD(reserved);
  }
  {
    STRUCT(PortQuestion);
    FIELD(magic);
    FIELD(round);
  }
}

}  // namespace

int main() {
  segment();
  ring();
  block();
  control();
  relay();
  trace();
  trace_port();
  return sound ? 0 : 1;
}
