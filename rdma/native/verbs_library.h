// libibverbs, loaded at run time: a host without it runs the other providers.
#pragma once

#if __has_include(<infiniband/verbs.h>)
#define SLUICE_VERBS 1

#include <infiniband/verbs.h>

namespace sluice {

// What verbs.h declares as functions of the library; the rest of the API is inline, through the opened device.
struct VerbsLibrary {
  decltype(&ibv_get_device_list) getDeviceList;
  decltype(&ibv_free_device_list) freeDeviceList;
  decltype(&ibv_get_device_name) getDeviceName;
  decltype(&ibv_open_device) openDevice;
  decltype(&ibv_close_device) closeDevice;
  decltype(&ibv_query_device) queryDevice;
  int (*queryPort)(ibv_context*, uint8_t, _compat_ibv_port_attr*);
  decltype(&ibv_query_gid) queryGid;
  decltype(&ibv_alloc_pd) allocPd;
  decltype(&ibv_dealloc_pd) deallocPd;
  ibv_mr* (*regMr)(ibv_pd*, void*, size_t, int);
  decltype(&ibv_dereg_mr) deregMr;
  decltype(&ibv_create_comp_channel) createCompChannel;
  decltype(&ibv_destroy_comp_channel) destroyCompChannel;
  decltype(&ibv_create_cq) createCq;
  decltype(&ibv_destroy_cq) destroyCq;
  decltype(&ibv_get_cq_event) getCqEvent;
  decltype(&ibv_ack_cq_events) ackCqEvents;
  decltype(&ibv_create_qp) createQp;
  decltype(&ibv_modify_qp) modifyQp;
  decltype(&ibv_destroy_qp) destroyQp;
  decltype(&ibv_wc_status_str) wcStatusStr;

  // Throws `verbs_unavailable`.
  static const VerbsLibrary& Load();
};

}  // namespace sluice

#endif
