// A kernel that reads one buffer and writes another; see control.mjs.
#version 460
layout(local_size_x = 64) in;
layout(binding = 0) readonly buffer From { uint from[]; };
layout(binding = 1) writeonly buffer To { uint to[]; };

void main()
{
  to[gl_LocalInvocationIndex] = from[gl_LocalInvocationIndex];
}
