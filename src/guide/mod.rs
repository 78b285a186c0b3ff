//! Guides: families of densities with parameters, that can be drawn from and fitted to a posterior.
