//! Which plates are separable, and what is said of those that are not.

