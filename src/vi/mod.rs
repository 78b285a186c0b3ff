//! Variational inference: objectives, their gradient estimators, and the training loop.
