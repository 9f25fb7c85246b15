#include "ways.h"

#include <cerrno>
#include <cstring>
#include <ctime>

namespace cost {

namespace {

constexpr size_t kBatch = 16;
constexpr int kLocal = IBV_ACCESS_LOCAL_WRITE;
constexpr int kRemote = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
constexpr int kWindowed = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_MW_BIND;

}  // namespace

uint64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

Bench::Bench(const Device& device, size_t bytes)
    : device_(device),
      bytes_(bytes),
      pair_(device),
      application_(bytes * kBatch),
      staging_(bytes),
      target_(bytes),
      applicationMr_(device.Register(application_.base(), application_.bytes(), kLocal)),
      stagingMr_(device.Register(staging_.base(), bytes, kLocal)),
      targetMr_(device.Register(target_.base(), bytes, kRemote)) {
  if (!device.hasWindows()) return;
  windowedMr_ = device.Register(target_.base(), bytes, kWindowed);
  rebound_ = Made(ibv_alloc_mw(device.domain(), IBV_MW_TYPE_2), "ibv_alloc_mw");
  standing_ = Made(ibv_alloc_mw(device.domain(), IBV_MW_TYPE_2), "ibv_alloc_mw");
  standingKey_ = pair_.reader.Bind(standing_, windowedMr_, bytes);
}

Bench::~Bench() {
  for (ibv_mw* window : {rebound_, standing_}) {
    if (window != nullptr) Check(ibv_dealloc_mw(window), "ibv_dealloc_mw");
  }
  for (ibv_mr* region : {windowedMr_, targetMr_, stagingMr_, applicationMr_, moving_}) {
    if (region != nullptr) Check(ibv_dereg_mr(region), "ibv_dereg_mr");
  }
}

void Bench::Send(const uint8_t* from, uint32_t lkey, uint32_t rkey) {
  if (pair_.writer.Write(from, lkey, bytes_, target_.base(), rkey) != IBV_WC_SUCCESS) Die("RDMA WRITE", EIO);
}

// The registration is moved from one message to the next.
Way Bench::Reregister() {
  moving_ = device_.Register(application_.base(), bytes_, kLocal);
  const auto move = [this](uint8_t* to) {
    return ibv_rereg_mr(moving_, IBV_REREG_MR_CHANGE_TRANSLATION, nullptr, to, bytes_, 0);
  };
  errno = 0;
  if (move(application_.base() + bytes_) != 0) return {"reregister", {}, std::strerror(errno == 0 ? EOPNOTSUPP : errno)};
  const auto send = [this, move](uint8_t* message) {
    if (move(message) != 0) Die("ibv_rereg_mr", 0);
    Send(message, moving_->lkey, targetMr_->rkey);
  };
  return {"reregister", [this, send](Samples& ns) {
            for (uint8_t* message : {application_.base(), application_.base() + bytes_}) {
              ns.push_back(Timed([&] { send(message); }));
            }
          }};
}

// One write at a time, as with the other ways: what differs is how many messages share a registration.
void Bench::SendBatch(Samples& ns) {
  ibv_mr* region = nullptr;
  Samples writes;
  double shared = Timed([&] { region = device_.Register(application_.base(), bytes_ * kBatch, kLocal); });
  for (size_t i = 0; i < kBatch; i++) {
    const uint8_t* message = application_.base() + i * bytes_;
    writes.push_back(Timed([&] { Send(message, region->lkey, targetMr_->rkey); }));
  }
  shared += Timed([&] { Check(ibv_dereg_mr(region), "ibv_dereg_mr"); });
  for (const double write : writes) ns.push_back(write + shared / kBatch);
}

std::vector<Way> Bench::ways() {
  const uint8_t* message = application_.base();
  const auto timed = [](auto function) { return [=](Samples& ns) { ns.push_back(Timed(function)); }; };
  std::vector<Way> all;
  all.push_back({"prepared", timed([=, this] { Send(message, applicationMr_->lkey, targetMr_->rkey); })});
  all.push_back({"copy", timed([=, this] {
                   std::memcpy(staging_.base(), message, bytes_);
                   Send(staging_.base(), stagingMr_->lkey, targetMr_->rkey);
                 })});
  all.push_back({"register", timed([=, this] {
                   ibv_mr* region = device_.Register(application_.base(), bytes_, kLocal);
                   Send(message, region->lkey, targetMr_->rkey);
                   Check(ibv_dereg_mr(region), "ibv_dereg_mr");
                 })});
  all.push_back({"register-batch", [this](Samples& ns) { SendBatch(ns); }, {}, kBatch / 2});
  all.push_back(Reregister());
  if (!device_.hasWindows()) {
    for (const char* name : {"window", "window-once"}) {
      all.push_back({name, {}, "the device has no memory windows of type 2B"});
    }
    return all;
  }
  all.push_back({"window", timed([=, this] {
                   const uint32_t key = pair_.reader.Bind(rebound_, windowedMr_, bytes_);
                   Send(message, applicationMr_->lkey, key);
                   pair_.reader.Invalidate(key);
                 })});
  all.push_back({"window-once", timed([=, this] { Send(message, applicationMr_->lkey, standingKey_); })});
  return all;
}

}  // namespace cost
