#include "verbs_library.h"

#ifdef SLUICE_VERBS

#include <dlfcn.h>

#include <string>

#include "error.h"

namespace sluice {

namespace {

template <typename T>
void Resolve(void* library, const char* name, T& to) {
  to = reinterpret_cast<T>(dlsym(library, name));
  if (to == nullptr) {
    throw TransportError("verbs_unavailable",
                         std::string("libibverbs.so.1 has no ") + name +
                             ": install a current rdma-core, or choose another transport");
  }
}

VerbsLibrary LoadLibrary() {
  // Never closed: providers that it loads keep threads and handlers.
  void* library = dlopen("libibverbs.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw TransportError("verbs_unavailable",
                         std::string("libibverbs does not load: ") + dlerror() +
                             "; install rdma-core and ibverbs-providers, or choose another transport");
  }
  VerbsLibrary verbs;
  Resolve(library, "ibv_get_device_list", verbs.getDeviceList);
  Resolve(library, "ibv_free_device_list", verbs.freeDeviceList);
  Resolve(library, "ibv_get_device_name", verbs.getDeviceName);
  Resolve(library, "ibv_open_device", verbs.openDevice);
  Resolve(library, "ibv_close_device", verbs.closeDevice);
  Resolve(library, "ibv_query_device", verbs.queryDevice);
  Resolve(library, "ibv_query_port", verbs.queryPort);
  Resolve(library, "ibv_query_gid", verbs.queryGid);
  Resolve(library, "ibv_alloc_pd", verbs.allocPd);
  Resolve(library, "ibv_dealloc_pd", verbs.deallocPd);
  Resolve(library, "ibv_reg_mr", verbs.regMr);
  Resolve(library, "ibv_dereg_mr", verbs.deregMr);
  Resolve(library, "ibv_create_comp_channel", verbs.createCompChannel);
  Resolve(library, "ibv_destroy_comp_channel", verbs.destroyCompChannel);
  Resolve(library, "ibv_create_cq", verbs.createCq);
  Resolve(library, "ibv_destroy_cq", verbs.destroyCq);
  Resolve(library, "ibv_get_cq_event", verbs.getCqEvent);
  Resolve(library, "ibv_ack_cq_events", verbs.ackCqEvents);
  Resolve(library, "ibv_create_qp", verbs.createQp);
  Resolve(library, "ibv_modify_qp", verbs.modifyQp);
  Resolve(library, "ibv_destroy_qp", verbs.destroyQp);
  Resolve(library, "ibv_wc_status_str", verbs.wcStatusStr);
  return verbs;
}

}  // namespace

const VerbsLibrary& VerbsLibrary::Load() {
  static const VerbsLibrary library = LoadLibrary();
  return library;
}

}  // namespace sluice

#endif
