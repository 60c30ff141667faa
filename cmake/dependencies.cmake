# SPDX-License-Identifier: Apache-2.0
#
# Every outside library, found once.  scripts/deps lists the Debian packages they come from.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

function(fl_need target)
  if(NOT TARGET ${target})
    message(FATAL_ERROR "${target} is missing. `scripts/deps install build` installs what the "
                        "build needs; `scripts/deps missing build` lists it.")
  endif()
endfunction()

find_package(fmt QUIET)
fl_need(fmt::fmt)
find_package(CLI11 QUIET)
fl_need(CLI11::CLI11)
find_package(nlohmann_json QUIET)
fl_need(nlohmann_json::nlohmann_json)
foreach(lib liburing libseccomp libcap-ng)
  pkg_check_modules(${lib} QUIET IMPORTED_TARGET ${lib})
  fl_need(PkgConfig::${lib})
endforeach()

# Managing virtual machines can be left out: fl_modules() skips the modules that need it.
pkg_check_modules(libvirt QUIET IMPORTED_TARGET libvirt)
if(NOT TARGET PkgConfig::libvirt)
  set(FL_WITHOUT_guest libvirt-dev)
  set(FL_WITHOUT_virt libvirt-dev)
endif()
find_path(TOMLPLUSPLUS_INCLUDE toml++/toml.h)
if(NOT TOMLPLUSPLUS_INCLUDE)
  set(FL_WITHOUT_virt libtomlplusplus-dev)
endif()

if(FL_TESTS)
  find_package(GTest QUIET)
  fl_need(GTest::gtest_main)
  find_library(RAPIDCHECK_LIBRARY rapidcheck)
  find_path(RELACY_INCLUDE relacy/relacy.hpp)
  if(NOT RAPIDCHECK_LIBRARY OR NOT RELACY_INCLUDE)
    message(FATAL_ERROR "rapidcheck or Relacy is missing. Run `scripts/deps install test`.")
  endif()
endif()
if(FL_BENCH)
  find_package(benchmark QUIET)
  fl_need(benchmark::benchmark_main)
endif()
