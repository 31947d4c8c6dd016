// Owns one Vulkan object: moves, never copies, destroys once.
#pragma once
#include <functional>
#include <utility>

namespace vkpn {

template <class T>
class Handle {
public:
  Handle() = default;
  Handle(T value, std::function<void(T)> destroy) : value_(value), destroy_(std::move(destroy)) {}
  Handle(Handle&& other) noexcept { swap(other); }
  Handle& operator=(Handle&& other) noexcept {
    Handle old(std::move(other));
    swap(old);
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { reset(); }

  T get() const { return value_; }
  explicit operator bool() const { return value_ != T{}; }
  void reset() {
    if (value_ != T{} && destroy_) destroy_(value_);
    value_ = T{};
  }

private:
  void swap(Handle& other) noexcept {
    std::swap(value_, other.value_);
    std::swap(destroy_, other.destroy_);
  }
  T value_{};
  std::function<void(T)> destroy_;
};

}  // namespace vkpn
