// Between JavaScript and C++: opaque handles with type tags, and errors that carry a code.
#pragma once
#include "error.h"

#include <napi.h>

#include <memory>
#include <string>
#include <utility>

namespace vkpn {

/** What each kind of handle is called in messages, and the tag that tells it from others. */
template <class T>
struct HandleTraits;

/** Gives JavaScript shared ownership of `object`; the garbage collector or `destroy` ends it. */
template <class T>
Napi::Value toHandle(Napi::Env env, std::shared_ptr<T> object) {
  using Owner = std::shared_ptr<T>;
  auto external = Napi::External<Owner>::New(env, new Owner(std::move(object)), [](Napi::Env, Owner* owner) { delete owner; });
  external.TypeTag(&HandleTraits<T>::tag);
  return external;
}

template <class T>
std::shared_ptr<T>& ownerOf(const Napi::Value& value) {
  if (value.IsExternal()) {
    auto external = value.As<Napi::External<std::shared_ptr<T>>>();
    if (external.CheckTypeTag(&HandleTraits<T>::tag)) return *external.Data();
  }
  throw Error("BAD_ARGUMENT", std::string("not a ") + HandleTraits<T>::name);
}

/** The object behind a handle. Throws CLOSED where it was destroyed. */
template <class T>
std::shared_ptr<T> fromHandle(const Napi::Value& value) {
  std::shared_ptr<T>& owner = ownerOf<T>(value);
  if (!owner) throw Error("CLOSED", std::string("this ") + HandleTraits<T>::name + " was destroyed");
  return owner;
}

inline Napi::Error toJsError(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

/** Runs a callback's body; whatever it throws reaches JavaScript as an Error with a `code`. */
template <class Body>
Napi::Value guard(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const Error& e) {
    throw toJsError(env, e.code, e.what());
  } catch (const std::bad_alloc&) {
    throw toJsError(env, "OUT_OF_MEMORY", "out of host memory");
  } catch (const std::exception& e) {
    throw toJsError(env, "VULKAN", e.what());
  }
}

}  // namespace vkpn
