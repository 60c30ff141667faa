# SPDX-License-Identifier: Apache-2.0
#
# drives/*.toml, built into the programs that know drives by name.
file(GLOB drives CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/drives/*.toml)
set(FL_DRIVES "")
foreach(drive IN LISTS drives)
  get_filename_component(name ${drive} NAME_WE)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${drive})
  file(READ ${drive} text)
  string(APPEND FL_DRIVES "    {\"${name}\", R\"drive(${text})drive\"},\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/drives/builtin_drives.cc @ONLY CONTENT
"// SPDX-License-Identifier: Apache-2.0
#include \"apps/drive_file.h\"

namespace fairlead::apps {

const std::vector<BuiltInDrive> kBuiltInDrives = {
@FL_DRIVES@};

}  // namespace fairlead::apps
")
