// Vulkan's types and volk's run-time loaded functions. Instance-level functions are volk's globals; device-level ones
// come from the table of each Device, so that several devices can be open at once.
#pragma once
#include <volk.h>
