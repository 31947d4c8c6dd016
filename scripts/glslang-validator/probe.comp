// Compiled to find out whether a compiler knows GL_KHR_cooperative_matrix; Debian 12's does not.
#version 460
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_EXT_shader_16bit_storage : require
layout(local_size_x = 32) in;
layout(binding = 0) buffer B { float16_t b[]; };

void main()
{
  coopmat<float16_t, gl_ScopeSubgroup, 16, 16, gl_MatrixUseA> a;
  coopMatLoad(a, b, 0, 16, gl_CooperativeMatrixLayoutRowMajor);
  coopMatStore(a, b, 256, 16, gl_CooperativeMatrixLayoutRowMajor);
}
