{
  "targets": [
    {
      "target_name": "sluice_rdma",
      "sources": [
        "rdma/native/arguments.cc",
        "rdma/native/binding.cc",
        "rdma/native/cell.cc",
        "rdma/native/constants.cc",
        "rdma/native/functions.cc",
        "rdma/native/mac.cc",
        "rdma/native/record_sink.cc",
        "rdma/native/region.cc",
        "rdma/native/ring_reader.cc",
        "rdma/native/ring_writer.cc",
        "rdma/native/transport.cc",
        "rdma/native/verbs_device.cc",
        "rdma/native/verbs_library.cc",
        "rdma/native/verbs_queue.cc",
        "rdma/native/verbs_window.cc",
        "rdma/native/wait.cc",
        "rdma/native/write_log.cc"
      ],
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include\")"],
      "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS"],
      "cflags!": ["-fno-exceptions"],
      "cflags_cc!": ["-fno-exceptions", "-std=gnu++17"],
      "cflags_cc": ["-std=c++20", "-O2", "-Wall", "-Wextra", "-fexceptions", "-fvisibility=hidden"],
      "conditions": [
        ["OS=='linux'", { "libraries": ["-lrt", "-ldl"] }],
        ["node_shared_openssl=='true'", { "libraries": ["-lcrypto"] }]
      ]
    }
  ]
}
