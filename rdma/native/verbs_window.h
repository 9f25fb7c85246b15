// A memory window of type 2B: a key that lets one queue pair write a region, and nobody else, not even another queue pair of the
// same protection domain. The region itself then lets nobody write.
#pragma once

#include "verbs_device.h"

#ifdef SLUICE_VERBS

namespace sluice {

class MemoryWindow {
 public:
  // Throws `verbs_failed`.
  explicit MemoryWindow(ibv_pd* domain);
  // From here on its key is worth nothing. Windows end before their queue pair and their region.
  ~MemoryWindow();
  MemoryWindow(const MemoryWindow&) = delete;
  MemoryWindow& operator=(const MemoryWindow&) = delete;

  // Known before the window is bound, so that it can be told while the queue pair is not connected; worth nothing until then.
  uint32_t key() const { return key_; }
  // Posts the request that binds it to `pair`, with all of `region`; its completion is an IBV_WC_BIND_MW. Throws `verbs_failed`.
  void PostBind(ibv_qp* pair, ibv_mr* region);

 private:
  ibv_mw* window_;
  uint32_t key_;
};

}  // namespace sluice

#endif
