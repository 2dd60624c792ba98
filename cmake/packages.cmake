# Everything the build takes from Debian. `./dev setup` installs the packages named on the right.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# An imported target over a library that ships neither a CMake config nor a pkg-config file.
function(sluice_import name header library)
  find_path(${name}_INCLUDE ${header} REQUIRED)
  find_library(${name}_LIBRARY ${library} REQUIRED)
  add_library(pkg::${name} INTERFACE IMPORTED GLOBAL)
  target_include_directories(pkg::${name} SYSTEM INTERFACE ${${name}_INCLUDE})
  target_link_libraries(pkg::${name} INTERFACE ${${name}_LIBRARY})
endfunction()

sluice_import(caf caf/all.hpp caf_core)          # libcaf-dev
sluice_import(isal isa-l.h isal)                 # libisal-dev
sluice_import(rocksdb rocksdb/db.h rocksdb)      # librocksdb-dev
sluice_import(uring liburing.h uring)            # liburing-dev
sluice_import(crypto openssl/evp.h crypto)       # libssl-dev
sluice_import(ssl openssl/ssl.h ssl)             # libssl-dev
sluice_import(rados rados/librados.h rados)      # librados-dev
sluice_import(rbd rbd/librbd.h rbd)              # librbd-dev
sluice_import(rdmacm rdma/rdma_cma.h rdmacm)     # librdmacm-dev
sluice_import(ibverbs infiniband/verbs.h ibverbs)  # libibverbs-dev
find_package(nlohmann_json REQUIRED)             # nlohmann-json3-dev
find_package(CLI11 REQUIRED)                     # libcli11-dev
if(SLUICE_TESTS)
  find_package(GTest REQUIRED)                   # libgtest-dev libgmock-dev
  sluice_import(rapidcheck rapidcheck.h rapidcheck)  # librapidcheck-dev
endif()
if(SLUICE_BENCH)
  find_package(benchmark REQUIRED)               # libbenchmark-dev
endif()
# Header-only, on the default include path: tl/expected.hpp (libexpected-dev), toml++/toml.h (libtomlplusplus-dev).
