# SPDX-License-Identifier: Apache-2.0
#
# What `make install` puts beside the programs: pages, completion, the unit, and the client library
# with the headers that block/client.h takes in.
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
        FILES_MATCHING PATTERN "*.1")

# bash-completion looks for a file of the command's name.
set(FL_COMPLETION_DIR ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${CMAKE_SOURCE_DIR}/packaging/completion/fairlead.bash
        DESTINATION ${FL_COMPLETION_DIR} RENAME fairlead)
list(FILTER mains INCLUDE REGEX "fairlead-.*\\.cc$")
foreach(main IN LISTS mains)
  get_filename_component(program ${main} NAME_WE)
  install(CODE "file(CREATE_LINK fairlead
    \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${FL_COMPLETION_DIR}/${program}\" SYMBOLIC)")
endforeach()

# The unit names the program with its path, which is known now and not before.
install(CODE "file(READ \"${CMAKE_SOURCE_DIR}/packaging/systemd/fairlead-blockd@.service\" unit)
  set(bin \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/\")
  string(REPLACE /usr/bin/ \"\${bin}\" unit \"\${unit}\")
  set(path \"\${CMAKE_INSTALL_PREFIX}/lib/systemd/system/fairlead-blockd@.service\")
  file(WRITE \"\$ENV{DESTDIR}\${path}\" \"\${unit}\")
  message(STATUS \"Installing: \${path}\")")
install(FILES ${CMAKE_SOURCE_DIR}/packaging/systemd/fairlead.sysusers
        DESTINATION lib/sysusers.d RENAME fairlead.conf)

install(TARGETS fl_block fl_relay fl_daemon fl_shm fl_base
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_SOURCE_DIR}/src/relay/c_api.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fairlead RENAME relay.h)
install(FILES ${CMAKE_SOURCE_DIR}/src/block/client.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fairlead/block)
install(FILES ${CMAKE_SOURCE_DIR}/src/base/clock.h ${CMAKE_SOURCE_DIR}/src/base/error.h
              ${CMAKE_SOURCE_DIR}/src/base/result.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fairlead/base)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/fairlead/abi
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/fairlead)
file(RELATIVE_PATH FL_PC_TO_PREFIX /p/${CMAKE_INSTALL_LIBDIR}/pkgconfig /p)
string(REGEX REPLACE "/$" "" FL_PC_TO_PREFIX "${FL_PC_TO_PREFIX}")
foreach(library fairlead-block fairlead-relay)
  configure_file(${CMAKE_SOURCE_DIR}/packaging/pkgconfig/${library}.pc.in
                 ${CMAKE_BINARY_DIR}/${library}.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/${library}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
