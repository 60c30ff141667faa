// SPDX-License-Identifier: Apache-2.0
#include "trace/host_source.h"

#include <utility>

#include "relay/stamp.h"

namespace fairlead::trace {
namespace {

// From a kernel source into a recording.
class FileSink final : public EventSink {
 public:
  FileSink(TraceFileWriter& file, std::uint16_t source) : file_(file), source_(source) {}

  void event(std::uint16_t stream, std::uint64_t stamp, const abi::BlockEvent& event) override {
    file_.event(source_, stream, stamp, event);
  }
  void loss(std::uint16_t stream, const abi::TraceLoss& loss) override {
    file_.loss(source_, stream, loss);
  }
  void name(const abi::TraceName& name) override { file_.name(source_, name); }
  void device(const abi::TraceDevice& device) override { file_.device(source_, device); }

 private:
  TraceFileWriter& file_;
  std::uint16_t source_;
};

}  // namespace

base::Result<std::unique_ptr<HostSource>> HostSource::open(
    const std::vector<std::string>& devices) {
  KernelOptions options;
  for (const std::string& device : devices) {
    const std::string path = device.starts_with('/') ? device : "/dev/" + device;
    FL_TRY(const std::uint32_t number, device_number(path));
    options.devices.push_back(number);
  }
  FL_TRY(auto kernel, KernelSource::open(options));
  if (kernel.clock() != relay::kStampClock) {
    return base::fail(base::ErrorKind::kUnsupported,
                      "this kernel's tracer has not the clock that this program reads");
  }
  return std::unique_ptr<HostSource>(new HostSource(std::move(kernel)));
}

void HostSource::introduce(TraceFileWriter& file) {
  number_ = file.add_source(SourceKind::kHost, "host", false);
}

base::Result<bool> HostSource::poll(TraceFileWriter& file) {
  FileSink sink(file, number_);
  FL_TRY_STATUS(kernel_.drain(sink));
  return true;
}

base::Status HostSource::finish(TraceFileWriter& file) {
  FileSink sink(file, number_);
  return kernel_.close(sink);
}

}  // namespace fairlead::trace
