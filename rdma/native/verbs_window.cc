#include "verbs_window.h"

#ifdef SLUICE_VERBS

#include <cerrno>

#include "error.h"

namespace sluice {

MemoryWindow::MemoryWindow(ibv_pd* domain) : window_(ibv_alloc_mw(domain, IBV_MW_TYPE_2)) {
  if (window_ == nullptr) {
    throw TransportError::System(
        "verbs_failed", "ibv_alloc_mw (to go on without memory windows: `rdma: {memoryWindows: off}` in replica.yaml)",
        errno);
  }
  key_ = ibv_inc_rkey(window_->rkey);
}

MemoryWindow::~MemoryWindow() { ibv_dealloc_mw(window_); }

void MemoryWindow::PostBind(ibv_qp* pair, ibv_mr* region) {
  ibv_send_wr request{};
  request.opcode = IBV_WR_BIND_MW;
  request.send_flags = IBV_SEND_SIGNALED;
  request.bind_mw.mw = window_;
  request.bind_mw.rkey = key_;
  request.bind_mw.bind_info = {region, reinterpret_cast<uint64_t>(region->addr), region->length,
                               IBV_ACCESS_REMOTE_WRITE};
  ibv_send_wr* bad = nullptr;
  const int error = ibv_post_send(pair, &request, &bad);
  if (error != 0) throw TransportError::System("verbs_failed", "ibv_post_send of a window's binding", error);
}

}  // namespace sluice

#endif
