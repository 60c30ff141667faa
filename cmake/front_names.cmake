# SPDX-License-Identifier: Apache-2.0
#
# The names that the documents use for our programs, as links beside them in the build; never
# installed, because Debian owns `service`.
function(fl_front_name name program)
  add_custom_command(TARGET ${program} POST_BUILD
                     COMMAND ${CMAKE_COMMAND} -E create_symlink $<TARGET_FILE_NAME:${program}>
                             $<TARGET_FILE_DIR:${program}>/${name} VERBATIM)
endfunction()

fl_front_name(service fairlead-service)                 # document 000
fl_front_name(client fairlead-client)
fl_front_name(tool_for_integrity fairlead-integrity)
