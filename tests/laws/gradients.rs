//! Derivatives of log densities and cumulative functions against central differences.
