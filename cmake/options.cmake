# SPDX-License-Identifier: Apache-2.0
include(GNUInstallDirs)

option(FL_TESTS "Build unit tests, integration tests and model checks" OFF)
option(FL_BENCH "Build micro-benchmarks" OFF)
option(FL_FUZZ "Build libFuzzer targets (clang only); without it fuzzers replay their corpus" OFF)
option(FL_COVERAGE "Instrument for gcov" OFF)
set(FL_TESTS_AT_ONCE 8 CACHE STRING "How many test sources are compiled as one (1: each alone)")
set(FL_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
# -O3 buys nothing measurable here; -g1 keeps backtraces and perf readable for two thirds of -g's
# compile time and a fifth of its size.  (Tests do without.)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")

add_compile_options(-Wall -Wextra -Werror -Wshadow -Wconversion -Wno-sign-conversion
                    -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough
                    -fno-omit-frame-pointer)
add_compile_options($<$<CONFIG:Release>:-D_FORTIFY_SOURCE=2> -fstack-protector-strong)
add_link_options(-Wl,-z,relro,-z,now)
if(FL_SANITIZE)
  # vptr checks open a pipe when they run, so they fail where a test has taken all descriptors.
  add_compile_options(-fsanitize=${FL_SANITIZE} -fno-sanitize-recover=all -fno-sanitize=vptr)
  add_link_options(-fsanitize=${FL_SANITIZE})
endif()
if(FL_FUZZ)
  # For the libraries that count their edges (targets.cmake); fuzzers themselves link its main().
  add_link_options(-fsanitize=fuzzer-no-link)
endif()
if(FL_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
