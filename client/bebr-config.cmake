# find_package(bebr) gives bebr::client, the C++ client library, and bebr::proto, the messages and services it takes.
include(CMakeFindDependencyMacro)
find_dependency(absl CONFIG)
find_dependency(Protobuf)
find_dependency(gRPC CONFIG)
include(${CMAKE_CURRENT_LIST_DIR}/bebr-targets.cmake)
