# Warnings, sanitizers, ccache, linker: what every target of the project is compiled with.
find_program(SLUICE_CCACHE ccache)
if(SLUICE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${SLUICE_CCACHE})
endif()

find_program(SLUICE_MOLD mold)
if(SLUICE_MOLD AND NOT SLUICE_SANITIZE)
  add_link_options(-fuse-ld=mold)
endif()

add_compile_options(-Wall -Wextra -Werror -Wpedantic -Wshadow -Wnon-virtual-dtor
                    -fno-omit-frame-pointer -march=x86-64-v2)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports these from inside libstdc++ and CAF at -O2 (GCC bugs 105329, 105651).
  set(SLUICE_FALSE_ALARMS -Wno-restrict -Wno-maybe-uninitialized -Wno-dangling-pointer -Wno-array-bounds
                          -Wno-stringop-overflow -Wno-stringop-overread -Wno-free-nonheap-object)
  add_compile_options(${SLUICE_FALSE_ALARMS})
endif()
if(CMAKE_UNITY_BUILD)
  # Files of one folder are compiled together, so that what they share is compiled once: less than half the time. What one
  # file has in its unnamed namespace is then seen by others, which they may well shadow, and a name can be there once.
  add_compile_options(-Wno-shadow -Wno-subobject-linkage)
endif()
if(SLUICE_LTO AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Up to nine commands in a hundred more. Objects hold finished code as well, which is what tests link: only the program
  # waits a minute for its linker.
  add_compile_options(-flto=auto -ffat-lto-objects)
  # mold takes the finished code where there is any. A program says that it wants the other: WHOLE.
  add_link_options("$<IF:$<BOOL:$<TARGET_PROPERTY:WHOLE>>,-flto=auto;-fuse-ld=bfd;${SLUICE_FALSE_ALARMS},-fno-lto>")
endif()
if(SLUICE_SANITIZE)
  add_compile_options(-fsanitize=${SLUICE_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${SLUICE_SANITIZE})
  if(SLUICE_SANITIZE MATCHES "undefined")
    # CAF's intrusive task queue downcasts its sentinel; harmless, and not ours to change.
    add_compile_options(-fno-sanitize=vptr)
    # clang 14 cannot assemble what this check adds to coroutines ("a difference across sections"); g++ has no such check.
    if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
      add_compile_options(-fno-sanitize=function)
    endif()
  endif()
endif()
if(SLUICE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
