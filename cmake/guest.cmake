# SPDX-License-Identifier: Apache-2.0
#
# What the module guest has beyond a library: the lock that is built in, and the agent, a static
# program of its own that runs inside guests.
set(lock ${CMAKE_SOURCE_DIR}/src/guest/packages.lock)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${lock})
file(READ ${lock} FL_LOCK_TEXT)
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/guest/builtin_lock.cc @ONLY CONTENT
"// SPDX-License-Identifier: Apache-2.0
#include \"guest/builtin_lock.h\"

namespace fairlead::guest {

const char* const kBuiltInLock = R\"lock(@FL_LOCK_TEXT@)lock\";

}  // namespace fairlead::guest
")
target_sources(fl_guest PRIVATE ${CMAKE_BINARY_DIR}/guest/builtin_lock.cc)

add_subdirectory(${CMAKE_SOURCE_DIR}/src/guest/agent)
