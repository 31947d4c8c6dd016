// What modules say that hand pictures on or write them, each pixel for itself (`ModuleInstance.windows`).

export const PIXELWISE = { halo: 0, align: 1 };
