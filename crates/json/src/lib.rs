//! JSON as bytes: strict validation, and a top-level view into raw slices.
