//! Results for people and for programs: numbers with sensible digits, aligned tables.

pub mod number;
pub mod table;
