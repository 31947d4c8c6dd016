// What JavaScript may hold: names and type tags of the handles.
#pragma once
#include "js.h"
#include "program.h"

namespace vkpn {

#define VKPN_HANDLE(T, text, low)                                   \
  template <>                                                       \
  struct HandleTraits<T> {                                          \
    static constexpr const char* name = text;                       \
    static constexpr napi_type_tag tag{0x766b706e2d68616eULL, low}; \
  };
VKPN_HANDLE(Device, "device", 1)
VKPN_HANDLE(Buffer, "buffer", 2)
VKPN_HANDLE(Kernel, "kernel", 3)
VKPN_HANDLE(Program, "program", 4)
#undef VKPN_HANDLE

}  // namespace vkpn
