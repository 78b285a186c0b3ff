//! The meaning of the language, rule by rule: small models against densities computed by hand.

#[path = "language/discrete.rs"]
mod discrete;
#[path = "language/fill.rs"]
mod fill;
#[path = "language/growth.rs"]
mod growth;
#[path = "language/hand.rs"]
mod hand;
#[path = "language/hidden.rs"]
mod hidden;
#[path = "language/laws.rs"]
mod laws;
#[path = "language/loops.rs"]
mod loops;
#[path = "language/observe.rs"]
mod observe;
#[path = "language/params.rs"]
mod params;
#[path = "language/plates.rs"]
mod plates;
#[path = "language/structured.rs"]
mod structured;
#[path = "language/truncated.rs"]
mod truncated;
#[path = "language/values.rs"]
mod values;
