//! Normalizing flows: invertible maps that write themselves into a graph, with their log-determinants.
