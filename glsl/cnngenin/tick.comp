// tick: the frame number, which lives on the device.
#version 450
layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) buffer Frame { uint frame; };
void main() { if (gl_GlobalInvocationID.x == 0) frame += 1; }
