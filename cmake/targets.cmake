# SPDX-License-Identifier: Apache-2.0
#
# One folder, one library.  What a file is for stands in its name:
#   x.h x.cc               the library
#   x_test.cc              unit tests; one program per module
#   x_integration_test.cc  several real processes: labels integration and no-tsan
#   x_serial_test.cc       needs the machine to itself (timing): nothing runs beside it
#   x_long_test.cc         label long: only `make check-long` runs it
#   x_bench.cc             micro-benchmark, and a test that it runs
#   x_fuzz.cc              fuzzer, and a test that replays tests/corpus/x_fuzz
#   x_relacy.cc            model check of atomics
enable_testing()

# Libraries beyond the house that a module links.
set(FL_LINK_base fmt::fmt Threads::Threads)
set(FL_LINK_daemon PkgConfig::libseccomp PkgConfig::libcap-ng)
set(FL_LINK_block PkgConfig::liburing nlohmann_json::nlohmann_json)
set(FL_LINK_manage nlohmann_json::nlohmann_json)
set(FL_LINK_virt PkgConfig::libvirt)
set(FL_LINK_guest PkgConfig::libvirt nlohmann_json::nlohmann_json)

# What a module's unit tests are compiled with.
set(FL_TEST_DEFINE_trace FL_TRACE_DATA="${CMAKE_SOURCE_DIR}/tests/trace/data")

# Pure modules: ThreadSanitizer has nothing to look at in their tests.
set(FL_PURE_MODULES abi disk manage sim)

# Under a sanitizer what most files include is compiled once: for programs (PIE), for libraries, and
# for those that count their edges.  The other presets show that each file includes what it uses.
function(fl_common_headers name kind)
  file(WRITE ${CMAKE_BINARY_DIR}/${name}.cc "int main() {}\n")
  if(kind STREQUAL "STATIC")
    add_library(${name} STATIC EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/${name}.cc)
  else()
    add_executable(${name} EXCLUDE_FROM_ALL ${CMAKE_BINARY_DIR}/${name}.cc)
  endif()
  target_link_libraries(${name} PRIVATE fmt::fmt Threads::Threads)
  target_compile_options(${name} PRIVATE ${ARGN})
  target_precompile_headers(${name} PRIVATE <fmt/format.h> <algorithm> <array> <atomic> <filesystem>
                            <functional> <map> <memory> <optional> <span> <string> <vector>)
endfunction()
set(FL_COUNT_EDGES -fsanitize=fuzzer-no-link)
if(FL_SANITIZE)
  fl_common_headers(library_headers STATIC)
  fl_common_headers(program_headers PROGRAM)
  if(FL_FUZZ)
    fl_common_headers(fuzzed_headers STATIC ${FL_COUNT_EDGES})
  endif()
endif()

# FL_WITHOUT_x names the package without which module x is left out (cmake/dependencies.cmake).
function(fl_modules table)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${table})
  file(STRINGS ${table} rows REGEX "^[a-z]")
  foreach(row IN LISTS rows)
    string(REPLACE ":" ";" cells "${row}")
    list(GET cells 0 name)
    list(GET cells 1 folder)
    list(GET cells 2 uses)
    string(STRIP "${name}" name)
    string(STRIP "${folder}" folder)
    separate_arguments(uses UNIX_COMMAND "${uses}")
    if(name STREQUAL "apps")
      set(built "")
      foreach(used IN LISTS uses)
        if(TARGET fl_${used})
          list(APPEND built fl_${used})
        endif()
      endforeach()
      set(FL_ALL_MODULES ${built} PARENT_SCOPE)
    elseif(name STREQUAL "bench")
      add_subdirectory(${folder})
    elseif(DEFINED FL_WITHOUT_${name})
      message(NOTICE "${FL_WITHOUT_${name}} is missing: ${folder} and its programs are left out")
    elseif(IS_DIRECTORY ${CMAKE_SOURCE_DIR}/${folder})
      fl_library(${name} ${folder} ${uses})
    endif()
  endforeach()
endfunction()

function(fl_library name folder)
  set(dir ${CMAKE_SOURCE_DIR}/${folder})
  file(GLOB headers CONFIGURE_DEPENDS ${dir}/*.h)
  file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.cc)
  if(NOT headers)
    return()
  endif()
  set(tests ${sources})
  set(benches ${sources})
  set(fuzzers ${sources})
  set(models ${sources})
  list(FILTER sources EXCLUDE REGEX "_(test|bench|fuzz|relacy)\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")
  list(FILTER models INCLUDE REGEX "_relacy\\.cc$")

  set(scope PUBLIC)
  if(sources)
    add_library(fl_${name} STATIC ${sources})
  else()
    add_library(fl_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(fl_${name} ${scope} ${CMAKE_SOURCE_DIR}/src
                             ${CMAKE_SOURCE_DIR}/include)
  foreach(used IN LISTS ARGN)
    target_link_libraries(fl_${name} ${scope} fl_${used})
  endforeach()
  target_link_libraries(fl_${name} ${scope} ${FL_LINK_${name}})
  if(FL_FUZZ AND fuzzers AND sources)
    # All that fuzzers execute lies in libraries that have fuzzers.
    target_compile_options(fl_${name} PRIVATE ${FL_COUNT_EDGES})
    target_precompile_headers(fl_${name} REUSE_FROM fuzzed_headers)
  elseif(FL_SANITIZE AND sources)
    target_precompile_headers(fl_${name} REUSE_FROM library_headers)
  endif()
  # Each header compiles alone: `cmake --build … --target all_verify_interface_header_sets`.
  fl_not_first_included(headers)
  target_sources(fl_${name} ${scope} FILE_SET HEADERS BASE_DIRS ${CMAKE_SOURCE_DIR}/src
                 ${CMAKE_SOURCE_DIR}/include FILES ${headers})
  set_target_properties(fl_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)

  if(FL_TESTS AND NOT (FL_SANITIZE STREQUAL "thread" AND name IN_LIST FL_PURE_MODULES))
    fl_module_tests(${name} ${tests})
    foreach(model IN LISTS models)
      get_filename_component(program ${model} NAME_WE)
      fl_model(${program} ${name} ${model})
    endforeach()
    foreach(fuzzer IN LISTS fuzzers)
      get_filename_component(program ${fuzzer} NAME_WE)
      fl_fuzz(${program} ${name} ${fuzzer})
    endforeach()
  endif()
  if(FL_BENCH)
    foreach(bench IN LISTS benches)
      get_filename_component(program ${bench} NAME_WE)
      add_executable(${program} ${bench})
      fl_no_debug_information(${program})
      target_link_libraries(${program} PRIVATE fl_${name} benchmark::benchmark_main)
      if(FL_TESTS)
        add_test(NAME ${program}_runs COMMAND ${program} --benchmark_min_time=0.001)
        set_tests_properties(${program}_runs PROPERTIES TIMEOUT 120)
      endif()
    endforeach()
  endif()
endfunction()

# Leaves out of a list of headers those that x.cc includes first: that shows it already.
function(fl_not_first_included list)
  foreach(header IN LISTS ${list})
    string(REGEX REPLACE "\\.h$" ".cc" source ${header})
    if(EXISTS ${source})
      file(STRINGS ${source} first REGEX "^#include" LIMIT_COUNT 1)
      string(REGEX REPLACE "^#include \"(.*)\"$" "\\1" first "${first}")
      if(first AND header MATCHES "/src/${first}$")
        list(REMOVE_ITEM ${list} ${header})
      endif()
    endif()
  endforeach()
  set(${list} ${${list}} PARENT_SCOPE)
endfunction()

# One program for each kind of x_test.cc that the module has.
function(fl_module_tests name)
  foreach(kind integration serial long)
    set(${kind} ${ARGN})
    list(FILTER ${kind} INCLUDE REGEX "_${kind}_test\\.cc$")
  endforeach()
  set(unit ${ARGN})
  list(FILTER unit EXCLUDE REGEX "_(integration|serial|long)_test\\.cc$")
  if(unit)
    fl_test(${name}_test ${name} ${unit})
    target_compile_definitions(${name}_test PRIVATE ${FL_TEST_DEFINE_${name}})
  endif()
  if(integration)
    fl_test(${name}_integration_test ${name} ${integration} LABELS integration no-tsan)
  endif()
  if(serial)
    fl_test(${name}_serial_test ${name} ${serial} SERIAL)
  endif()
  if(long)
    fl_test(${name}_long_test ${name} ${long} LABELS long)
  endif()
endfunction()

# Under a sanitizer the headers that all tests have are compiled once.
if(FL_TESTS AND FL_SANITIZE)
  file(WRITE ${CMAKE_BINARY_DIR}/test_headers.cc "int main() {}\n")
  add_executable(test_headers ${CMAKE_BINARY_DIR}/test_headers.cc)
  target_link_libraries(test_headers PRIVATE fmt::fmt Threads::Threads GTest::gtest_main
                                             GTest::gmock)
  target_include_directories(test_headers PRIVATE ${CMAKE_SOURCE_DIR}/src
                                                  ${CMAKE_SOURCE_DIR}/include)
  target_precompile_headers(test_headers PRIVATE <gtest/gtest.h> <fmt/format.h> <algorithm>
                            <atomic> <map> <memory> <string> <thread> <vector>)
endif()

# fl_test(PROGRAM MODULE SOURCES… [LABELS …] [SERIAL]): GoogleTest cases, each an own ctest; under a
# sanitizer each a part of one of PROGRAM.1, PROGRAM.2, …
function(fl_test program module)
  cmake_parse_arguments(PARSE_ARGV 2 arg "SERIAL" "" "LABELS")
  include(GoogleTest)
  add_executable(${program} ${arg_UNPARSED_ARGUMENTS})
  fl_no_debug_information(${program})
  # Most of what a test costs to compile are the headers that all tests have.  So nothing shows that
  # a test includes all that it uses, but a build with FL_TESTS_AT_ONCE=1.
  if(FL_TESTS_AT_ONCE GREATER 1)
    set_target_properties(${program} PROPERTIES UNITY_BUILD ON
                          UNITY_BUILD_BATCH_SIZE ${FL_TESTS_AT_ONCE})
  endif()
  if(TARGET test_headers)
    target_precompile_headers(${program} REUSE_FROM test_headers)
  endif()
  target_link_libraries(${program} PRIVATE fl_${module} ${RAPIDCHECK_LIBRARY} GTest::gtest_main
                                           GTest::gmock)
  if(FL_SANITIZE)
    fl_test_in_shards(${program} "${arg_LABELS}" "${arg_SERIAL}")
    return()
  endif()
  set(properties TIMEOUT 120)
  if("long" IN_LIST arg_LABELS)
    set(properties TIMEOUT 3600)
  endif()
  if(arg_SERIAL)
    list(APPEND properties RUN_SERIAL TRUE)
  endif()
  gtest_discover_tests(${program} DISCOVERY_TIMEOUT 60 PROPERTIES ${properties})
  if(arg_LABELS)
    # gtest_discover_tests loses all but the first of a list of labels: ctest adds them afterwards.
    set(labels ${CMAKE_CURRENT_BINARY_DIR}/${program}_labels.cmake)
    file(WRITE ${labels} "if(${program}_TESTS)
  set_tests_properties(\${${program}_TESTS} PROPERTIES LABELS \"${arg_LABELS}\")
endif()\n")
    set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${labels})
  endif()
endfunction()

# A sanitizer takes longer to start and to look for leaks than most cases to run.  So a process runs
# every fourth case of a program; scripts/check counts them by what GoogleTest prints.
function(fl_test_in_shards program labels serial)
  set(shards 4)
  foreach(shard RANGE 1 ${shards})
    math(EXPR index "${shard} - 1")
    add_test(NAME ${program}.${shard} COMMAND ${program})
    set_tests_properties(${program}.${shard} PROPERTIES TIMEOUT 600 LABELS "${labels}" ENVIRONMENT
                         "GTEST_TOTAL_SHARDS=${shards};GTEST_SHARD_INDEX=${index}")
    if(serial)
      set_tests_properties(${program}.${shard} PROPERTIES RUN_SERIAL TRUE)
    endif()
    if("long" IN_LIST labels)
      set_tests_properties(${program}.${shard} PROPERTIES TIMEOUT 3600)
    endif()
  endforeach()
endfunction()

# It costs a third of a test's compile time, and the sanitizers' builds name the lines.
function(fl_no_debug_information target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-g0>)
endfunction()

# fl_model(PROGRAM MODULE SOURCE): a Relacy model check; Relacy predates today's warnings.  It
# changes stacks with longjmp, which sanitizers and fortified sources take for an attack.
function(fl_model program module source)
  if(FL_SANITIZE)
    return()
  endif()
  add_executable(${program} ${source})
  target_include_directories(${program} SYSTEM PRIVATE ${RELACY_INCLUDE})
  target_compile_options(${program} PRIVATE -w -O2 -g0 -U_FORTIFY_SOURCE)
  target_link_libraries(${program} PRIVATE fl_${module})
  add_test(NAME ${program} COMMAND ${program})
  set_tests_properties(${program} PROPERTIES TIMEOUT 300)
endfunction()

# fl_fuzz(PROGRAM MODULE SOURCE): libFuzzer under FL_FUZZ, else a program that only replays; either
# is a test that replays the corpus.  `fuzzers` builds them all, into the folder of the same name.
add_custom_target(fuzzers)
function(fl_fuzz program module source)
  set(corpus ${CMAKE_SOURCE_DIR}/tests/corpus/${program})
  if(FL_FUZZ)
    add_executable(${program} ${source})
    target_compile_options(${program} PRIVATE ${FL_COUNT_EDGES})
    target_link_options(${program} PRIVATE -fsanitize=fuzzer)
    set_target_properties(${program} PROPERTIES
                          RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzzers)
    add_dependencies(fuzzers ${program})
    set(only_replay -runs=0)
  else()
    add_executable(${program} ${source} ${CMAKE_SOURCE_DIR}/tests/fuzz_replay.cc)
    set(only_replay "")
  endif()
  fl_no_debug_information(${program})
  if(IS_DIRECTORY ${corpus})  # the canary has none
    add_test(NAME ${program}_corpus COMMAND ${program} ${only_replay} ${corpus})
    # A hostile peer races on purpose: that is what its fuzzer plays.
    set_tests_properties(${program}_corpus PROPERTIES TIMEOUT 120 LABELS no-tsan)
  endif()
  target_link_libraries(${program} PRIVATE fl_${module})
endfunction()

# fl_program(NAME SOURCE): a product, installed under NAME.
function(fl_program name source)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE fl_command ${FL_ALL_MODULES} nlohmann_json::nlohmann_json)
  target_compile_definitions(${name} PRIVATE FAIRLEAD_VERSION="${PROJECT_VERSION}")
  if(FL_SANITIZE)
    target_precompile_headers(${name} REUSE_FROM program_headers)
  endif()
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
