// The reference: SPEC sections 1 to 3 in f64, slow and obvious, written from SPEC alone. What tests compare everything with.
export * from './image.js';
export * from './pyramid.js';
export * from './half.js';
export * from './context.js';
export * from './mlp.js';
export * from './apply.js';
export * from './combine.js';
export * from './loss.js';
export * from './model.js';
export * from './optimiser.js';
export * from './cnngenin.js';
export * from './metrics.js';
export * from './cases.js';
export * from './gradcheck.js';
