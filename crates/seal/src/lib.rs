//! AEAD tokens: kinds, key ring, rotation.
