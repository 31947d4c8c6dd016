// The addon's one kind of error: a code for programs and a sentence for people. js.h turns it into a JavaScript error.
#pragma once
#include "vulkan.h"

#include <stdexcept>
#include <string>

namespace vkpn {

/** What every failure in the addon is thrown as; `code` is what ts/gpu puts into GpuError. */
class Error : public std::runtime_error {
public:
  Error(std::string errorCode, const std::string& message) : std::runtime_error(message), code(std::move(errorCode)) {}
  std::string code;
};

/** "VK_ERROR_DEVICE_LOST", … or the number. */
std::string resultName(VkResult result);

/** Throws an Error naming the call unless it succeeded. DEVICE_LOST and OUT_OF_MEMORY have codes of their own. */
void check(VkResult result, const std::string& what);

}  // namespace vkpn
