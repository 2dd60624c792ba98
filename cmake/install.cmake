# `cmake --install build/release --prefix /usr`: the programs, their manual, completions, the service, its user, pages and
# examples. The manual and the completions are what the program says of itself. DESTDIR is honoured.
include(GNUInstallDirs)

install(TARGETS sluice_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(TARGET load_program)
  install(TARGETS load_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

function(sluice_install_output to)
  get_filename_component(folder ${to} DIRECTORY)
  install(CODE "
    set(place \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${to}\")
    file(MAKE_DIRECTORY \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${folder}\")
    execute_process(COMMAND \"$<TARGET_FILE:sluice_program>\" ${ARGN} OUTPUT_FILE \"\${place}\" COMMAND_ERROR_IS_FATAL ANY)
    message(STATUS \"Installing: \${place}\")")
endfunction()
sluice_install_output(share/man/man1/sluice.1 man)
sluice_install_output(share/man/man5/sluice.toml.5 man sluice.toml)
sluice_install_output(share/bash-completion/completions/sluice completion bash)
sluice_install_output(share/zsh/vendor-completions/_sluice completion zsh)
sluice_install_output(share/fish/vendor_completions.d/sluice.fish completion fish)

install(CODE "
  file(READ \"${PROJECT_SOURCE_DIR}/packaging/sluice.service\" service)
  string(REPLACE \"/usr/bin/sluice\" \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/sluice\" service \"\${service}\")
  set(place \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/lib/systemd/system/sluice.service\")
  file(WRITE \"\${place}\" \"\${service}\")
  message(STATUS \"Installing: \${place}\")")
install(FILES packaging/sluice.sysusers DESTINATION lib/sysusers.d RENAME sluice.conf)
install(FILES LICENSE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs PATTERN man EXCLUDE)
install(FILES packaging/prometheus-rules.yml DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
